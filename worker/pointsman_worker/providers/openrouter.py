"""OpenRouter, a broker of others' models.

Sources: openrouter.ai/docs (the repository OpenRouterTeam/docs): errors and debugging, limits, provider selection,
message transforms, plugins, router metadata, ZDR, overview; and the types of the vendor's client, openrouter 1.3.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import ClassVar, Final

from pointsman_routes import Allowance, Misrouted, Ok, Outcome, Tier, Truncated
from pointsman_worker.api_keys import ApiKey

from .json_codec import utc_now
from .judging import Spoken
from .openai import OpenAICompatibleCodec
from .openrouter_errors import OPENROUTER_SIGNALS, told_plainly, with_retry_after
from .payload import object_of, parse_object, text_of
from .protocol import Ask, RawReply, Reply

_TURNED_OFF: Final[Mapping[str, str]] = {
    "context-compression": "context-compression",
    "response-healing": "response-healing",
    "web": "web-search",
}
"""Plugins that an account may have switched on for all its calls, by id, and the names their stages go by. The first
drops the middle of a long prompt, and is on for small models by default; the second rewrites an answer; the third adds
to a prompt, and sends it to a search engine that no promise of the models' providers holds for."""
_MOST_MICROUSD: Final = 10**12


class OpenRouterCodec(OpenAICompatibleCodec):
    """OpenRouter's chat completions.

    OpenRouter is told to do nothing of its own accord: no second provider when the first fails, none that ignores a
    parameter or keeps data to train on, no change of prompt or answer by a plugin. An answer that a plugin changed
    nevertheless, because the account forbids overriding it, is withheld as misrouted.

    Who answered is `upstream`; what it costs is told by the vendor. The model served is compared like any other:
    `:floor` or `openrouter/auto` is answered under another name, and so are models whose permanent slug is not the one
    they are asked for by, such as `anthropic/claude-4.5-sonnet-20250929`; a tier lists those in `served_as`.

    Weakness: an effort that a model does not have is mapped to its nearest by OpenRouter, whoever forbids it.

    Args:
        base_url: as the vendor's own SDK means it, with `/api/v1`.
        key: the account's key.
        region: where the provider is declared to process data; `eu` and `us` have hosts of their own.
        now: the clock a vendor's moments are counted from when its reply names no date.
        zero_retention: whether only endpoints may answer that keep nothing.
    """

    _most_stops = 4
    signals_any_status = OPENROUTER_SIGNALS
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-generation-id", "x-request-id")

    def __init__(
        self,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
        zero_retention: bool = False,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._zero_retention = zero_retention

    def read(self, tier: Tier, raw: RawReply) -> Reply:
        """See `ProviderCodec`."""
        reply = super().read(tier, raw)
        if isinstance(reply.outcome, Ok | Truncated) and b'"pipeline"' in raw.body:
            changed = next(_changes(parse_object(raw.body) or {}), None)
            if changed is not None:
                return replace(reply, outcome=Misrouted(detail=f"prompt or answer was changed on the way: {changed}"))
        return reply

    def _headers(self) -> dict[str, str]:
        return {**super()._headers(), "x-openrouter-metadata": "enabled"}

    def _body(self, ask: Ask) -> dict[str, object]:
        routing: dict[str, object] = {"allow_fallbacks": False, "require_parameters": True, "data_collection": "deny"}
        if self._zero_retention:
            routing["zdr"] = True
        plugins = [{"id": plugin, "enabled": False} for plugin in _TURNED_OFF]
        return {**super()._body(ask), "provider": routing, "plugins": plugins}

    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        spoken = super()._spoken(payload, headers)
        return replace(spoken, upstream=_upstream(payload)) if spoken is not None else None

    def _request_id(self, raw: RawReply, payload: Mapping[str, object]) -> str | None:
        return super()._request_id(raw, payload) or text_of(payload.get("id"))

    def _told_microusd(self, payload: Mapping[str, object]) -> int | None:
        """Credits are US dollars. With a key of one's own the upstream bills beside them what it took."""
        usage = object_of(payload.get("usage"))
        shares = [_usd(usage.get("cost"))]
        if usage.get("is_byok") is True:
            shares.append(_usd(object_of(usage.get("cost_details")).get("upstream_inference_cost")))
        known = [share for share in shares if share is not None]
        if len(known) < len(shares):
            return None
        microusd = int((sum(known, Decimal()) * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
        return microusd if microusd <= _MOST_MICROUSD else None

    def _failed(
        self, raw: RawReply, error: Mapping[str, object], now: datetime, allowances: tuple[Allowance, ...]
    ) -> Outcome:
        told = object_of(error.get("error"))
        if not told:
            return super()._failed(raw, error, now, allowances)
        return super()._failed(with_retry_after(raw, told, now), {"error": told_plainly(told)}, now, allowances)


def _upstream(payload: Mapping[str, object]) -> str | None:
    named = text_of(payload.get("provider"))
    return named or next((text_of(end.get("provider")) for end in _endpoints(payload) if end.get("selected")), None)


def _endpoints(payload: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    listed = object_of(object_of(payload.get("openrouter_metadata")).get("endpoints")).get("available")
    yield from map(object_of, listed if isinstance(listed, list) else ())


def _changes(payload: Mapping[str, object]) -> Iterator[str]:
    """What was turned off and ran all the same, by name."""
    stages = object_of(payload.get("openrouter_metadata")).get("pipeline")
    for stage in map(object_of, stages if isinstance(stages, list) else ()):
        if (name := text_of(stage.get("name"))) is not None and name in _TURNED_OFF.values():
            yield name


def _usd(value: object) -> Decimal | None:
    """An amount as it was written, not as its nearest binary fraction; None when it can be none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_MICROUSD:
        return None
    return Decimal(repr(value))
