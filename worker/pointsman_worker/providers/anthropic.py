"""Anthropic's messages: its own, and others' who speak it.

Sources: platform.claude.com, API reference: messages, versions, data residency; and what vLLM, DeepSeek, MiniMax and
LiteLLM document where they differ.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from pointsman_routes import Allowance, Outcome, Unsupported, Usage

from .json_codec import JsonCodec
from .judging import Finish, Spoken
from .messages_answer import MESSAGES_FINISHES, blocks_of, text_in, tool_calls_in, usage_of
from .messages_request import Dialect, body_of, problems
from .messages_signals import COMPATIBLE_SIGNALS, MESSAGES_SIGNALS, with_code
from .payload import object_of, text_of, to_json
from .protocol import Ask, RawReply, WireRequest

API_VERSION: Final = "2023-06-01"
"""Not the latest: 2026-10-21 takes no `temperature` and no `top_p` from any model, and has nothing else for a job."""

_NOWHERE: Final = frozenset({"not_available"})
"""`inference_geo` of a model that predates it."""


class AnthropicCodec(JsonCodec):
    """The messages API.

    What it cannot express is `unsupported` before the call: `seed`; a temperature above 1; `json_object`; a
    `reasoning_effort` of `minimal`; the `detail` of an image; parameters of a tool, or arguments of a call, that are
    no JSON object; an empty message; a conversation that does not start with the user, or ends with the assistant,
    which this API reads as the opening of its own answer and newer models refuse. System and developer messages before
    the conversation go to the top-level `system`; later ones only between the user's turn and the assistant's.

    A `reasoning_effort` is sent as `output_config.effort` with adaptive thinking, since some models do not think at
    all otherwise; `none` disables thinking. What a model does not know of all this it refuses, which is `unsupported`
    too.

    A provider declared in region `us` asks for it with `inference_geo`, the only value that promises something.
    Models too old for it refuse the request, which is `unsupported`: their answer would come from anywhere.
    Where the answer names its region, that is checked.

    Spend limits come as 400, 402 or 429. The reference says that the 429 of a spend cap has no Retry-After; but
    so have those of many stand-ins and gateways. Only an error that says so in words or by its code is exhausted; any
    other 429 is throttled, with or without a wait.
    """

    dialect: ClassVar[Dialect] = Dialect(hottest=1, instructions_midway=True, plain_names=True, adaptive=True)
    finishes = MESSAGES_FINISHES
    signals = MESSAGES_SIGNALS

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""
        problem = next(problems(ask, self.dialect), None)
        if problem is not None:
            return Unsupported(detail=problem)
        body = {**body_of(ask, self.dialect), **self._place()}
        return WireRequest(url=f"{self._base_url}/v1/messages", headers=self._headers(), body=to_json(body))

    def _place(self) -> dict[str, object]:
        return {"inference_geo": "us"} if self._region == "us" else {}

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "anthropic-version": API_VERSION}
        if self._key is not None:
            headers["x-api-key"] = self._key.reveal()
        return headers

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        blocks, reason = blocks_of(payload), payload.get("stop_reason")
        if blocks is None or not isinstance(reason, str):
            return None
        content, calls = text_in(blocks), tool_calls_in(blocks)
        if calls is None and content:
            return None
        usage = object_of(payload.get("usage"))
        region = text_of(usage.get("inference_geo"))
        return Spoken(
            content=content,
            finish=self.finishes.get(reason, Finish.BROKEN),
            finish_reason=reason,
            model=text_of(payload.get("model")),
            region=region if region not in _NOWHERE else None,
            tool_calls=calls or (),
            service_tier=text_of(usage.get("service_tier")),
        )

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        return usage_of(object_of(payload.get("usage")))

    def _request_id(self, raw: RawReply, payload: Mapping[str, object]) -> str | None:
        return super()._request_id(raw, payload) or text_of(payload.get("request_id"))

    def _failed(
        self, raw: RawReply, error: Mapping[str, object], now: datetime, allowances: tuple[Allowance, ...]
    ) -> Outcome:
        return super()._failed(raw, with_code(error), now, allowances)


class AnthropicCompatibleCodec(AnthropicCodec):
    """Anthropic's messages as others speak them.

    The key, if there is one, is sent both ways in use: DeepSeek reads `x-api-key`, vLLM only `Authorization`. Anthropic
    itself refuses a call that has both, so a proxy that hands on headers to it is of kind `anthropic`. Where the data
    is processed is never asked for, since only Anthropic knows `inference_geo`. The temperature goes up to 2, as it
    does for vLLM and DeepSeek. A system message stands before the conversation only.

    Whether a server honours an effort, a schema, `strict` or `thinking`, or leaves them out without a word, cannot be
    told from here: vLLM ignores fields that it does not know.
    """

    dialect = Dialect(hottest=2, instructions_midway=False, plain_names=False, adaptive=False)
    signals = COMPATIBLE_SIGNALS

    def _place(self) -> dict[str, object]:
        return {}

    def _headers(self) -> dict[str, str]:
        headers = super()._headers()
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        return headers
