"""Samples of what ends an attempt and stands in no table of signals: broken calls, and answers with status 200.

docs/outcomes.md lists them in these words, each with the outcome the code makes of it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

import httpx
from provider_samples import KEY, NOW, compatible, completion, job, message, raw, tier

from pointsman_routes import Job, Outcome, Provider, ProviderKind, Tier
from pointsman_worker.http_client import call
from pointsman_worker.providers import codec_for, keeps_to
from pointsman_worker.providers.json_codec import JsonCodec
from pointsman_worker.providers.protocol import RawReply, WireRequest

ANY_MODEL: Final = tier("m", served_as=("*",))
_CALL: Final = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_WIRE: Final = WireRequest(url="https://vendor.example.com", headers={}, body=b"{}")
_CALL_ASKED: Final = job(tools=[{"type": "function", "function": {"name": "f"}}], tool_choice="required")
_JSON_ASKED: Final = job(response_format={"type": "json_object"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Something that ends an attempt, in words and in fact."""

    says: str
    outcome: Outcome


def codec_of(kind: ProviderKind, region: str | None = None) -> JsonCodec:
    """A codec of that kind, as a worker builds it.

    Args:
        kind: of the provider.
        region: where the provider is declared to process data.
    """
    about = {"name": "vendor", "kind": kind, "owner": "x", "api_key": {"env": "KEY"}, "region": region}
    tiers = {"tier": {"model": "m"}}
    provider = Provider.model_validate({**about, "base_url": "https://vendor.example.com", "tiers": tiers})
    codec = codec_for(provider, KEY, now=lambda: NOW)
    assert isinstance(codec, JsonCodec)
    return codec


def _choice(message: object, finish: str, **fields: object) -> dict[str, object]:
    return completion(choices=[{"index": 0, "message": message, "finish_reason": finish, **fields}])


def _read(
    kind: ProviderKind, body: object, *, headers: Mapping[str, str] | None = None, region: str | None = None
) -> Outcome:
    return codec_of(kind, region).read(ANY_MODEL, raw(body, 200, headers)).outcome


def _judged(body: object, asked: Job | None = None, to: Tier = ANY_MODEL) -> Outcome:
    """The way of every answer: read by its codec, then held against what the job asked for."""
    return keeps_to(asked or job(), compatible().read(to, raw(body)).outcome)


ANSWERS: Final = (
    Sample(says="a body that is no JSON object", outcome=_judged(b"<html></html>")),
    Sample(
        says="an error inside it: as with the status it usually has, which of `overloaded_error` is 529",
        outcome=_judged({"error": {"type": "overloaded_error", "message": "busy"}}),
    ),
    Sample(
        says="an error inside it that nobody here knows", outcome=_judged({"error": {"type": "odd", "message": "no"}})
    ),
    Sample(
        says="a shape that this vendor does not use, or a call of a tool that cannot be read",
        outcome=_judged(_choice({"content": "hi", "tool_calls": [_CALL, {}]}, "tool_calls")),
    ),
    Sample(
        says="another model than `model`, a dated snapshot of it, or one that `served_as` lists; whatever it said",
        outcome=_judged(completion(""), to=tier("gpt-5")),
    ),
    Sample(
        says="processed outside the declared region, where the vendor names the place; whatever was said",
        outcome=_read(ProviderKind.AZURE, completion(""), headers={"x-ms-region": "East US"}, region="eu"),
    ),
    Sample(says="the model declined, or a filter stopped it", outcome=_judged(completion("hi", "content_filter"))),
    Sample(says="the model stopped for a reason nobody here knows", outcome=_judged(completion("hi", "tired"))),
    Sample(
        says="neither text nor a call of a tool; white space, and characters nobody can see, are no text",
        outcome=_judged(completion(" \u200b\n")),
    ),
    Sample(
        says="likewise, because the token limit was reached before the first word",
        outcome=_judged(completion("", "length")),
    ),
    Sample(
        says="text that stops at the token limit, or where the context ends",
        outcome=_judged(completion("hi", "length")),
    ),
    Sample(
        says="calls of tools and no text, though the job offers no tools, or forbids to call them",
        outcome=_judged(_choice({"tool_calls": [_CALL]}, "tool_calls")),
    ),
    Sample(
        says="text beside such calls: the calls are taken out",
        outcome=_judged(_choice({"content": "hi", "tool_calls": [_CALL]}, "tool_calls")),
    ),
    Sample(
        says="text and no call, though the job demands one (`tool_choice`)",
        outcome=_judged(completion("hi"), _CALL_ASKED),
    ),
    Sample(
        says="text that is no JSON, though the job asks for JSON; or no object, though it asks for one",
        outcome=_judged(completion("hi"), _JSON_ASKED),
    ),
    Sample(says="anything else: text, or calls of the tools that were offered", outcome=_judged(completion("hi"))),
)
"""What is decided for all kinds alike, of an answer with status 200; in the order in which it is looked at."""

ANSWERS_OF: Final[Mapping[str, tuple[Sample, ...]]] = {
    "Chat completions": (
        Sample(
            says="`message.refusal` is a text",
            outcome=_judged(_choice({"content": None, "refusal": "I cannot"}, "stop")),
        ),
        Sample(says="`choices` is empty", outcome=_judged(completion(choices=[]))),
        Sample(
            says="`content_filter` with the message left out",
            outcome=_judged(completion(choices=[{"index": 0, "finish_reason": "content_filter"}])),
        ),
        Sample(
            says="`error` in the first choice: an error inside the answer, as above (here 502)",
            outcome=_judged(_choice(None, "error", error={"code": 502, "message": "gone"})),
        ),
    ),
    "Messages": (
        Sample(says="no `stop_reason`", outcome=_read(ProviderKind.ANTHROPIC_COMPATIBLE, message(stop=None))),
        Sample(
            says="a call of a tool that cannot be read, and no text",
            outcome=_read(ProviderKind.ANTHROPIC, message(content=[{"type": "tool_use"}], stop="tool_use")),
        ),
    ),
    ProviderKind.ANTHROPIC: (
        Sample(
            says="region `us` is declared, and `usage.inference_geo` is another",
            outcome=_read(
                ProviderKind.ANTHROPIC,
                message(usage={"input_tokens": 1, "output_tokens": 1, "inference_geo": "global"}),
                region="us",
            ),
        ),
    ),
    ProviderKind.AZURE: (
        Sample(
            says="the header `x-ms-region` names a place outside the declared region",
            outcome=_read(ProviderKind.AZURE, completion(), headers={"x-ms-region": "East US"}, region="eu"),
        ),
    ),
    ProviderKind.OPENROUTER: (
        Sample(
            says="a plugin ran that the request had turned off (`openrouter_metadata.pipeline`)",
            outcome=_read(
                ProviderKind.OPENROUTER,
                completion(openrouter_metadata={"pipeline": [{"name": "context-compression"}]}),
            ),
        ),
    ),
    ProviderKind.GOOGLE: (
        Sample(
            says="no candidates, but a `promptFeedback.blockReason`, whichever",
            outcome=_read(ProviderKind.GOOGLE, {"promptFeedback": {"blockReason": "OTHER"}}),
        ),
        Sample(
            says="no candidates and no reason",
            outcome=_read(ProviderKind.GOOGLE, {"usageMetadata": {"promptTokenCount": 1}}),
        ),
    ),
    ProviderKind.OLLAMA: (
        Sample(
            says="`done` is not true",
            outcome=_read(ProviderKind.OLLAMA, {"message": {"content": "hi"}, "done": False, "done_reason": "stop"}),
        ),
        Sample(
            says="region `local` is declared, and `remote_host` names another",
            outcome=_read(
                ProviderKind.OLLAMA,
                {"message": {"content": "hi"}, "done": True, "done_reason": "stop", "remote_host": "ollama.com"},
                region="local",
            ),
        ),
    ),
    ProviderKind.BEDROCK: (
        Sample(
            says="a prompt router invoked a model that `served_as` does not list (`trace.promptRouter`)",
            outcome=codec_of(ProviderKind.BEDROCK)
            .read(
                tier("m"),
                raw(
                    {
                        "output": {"message": {"content": [{"text": "hi"}]}},
                        "stopReason": "end_turn",
                        "trace": {"promptRouter": {"invokedModelId": "another"}},
                    }
                ),
            )
            .outcome,
        ),
    ),
}
"""What a family or a kind alone has, of an answer with status 200."""


class _Dripping(httpx.AsyncByteStream):
    """A body in one piece, which may be followed by an error."""

    def __init__(self, body: bytes, then: Exception | None = None) -> None:
        self._body = body
        self._then = then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body
        if self._then is not None:
            raise self._then


def _called(answer: httpx.Response | Exception, max_bytes: int = 1024) -> Outcome:
    """How a call ends that is answered so, or that breaks so."""

    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    reply = asyncio.run(call(httpx.MockTransport(handle), _WIRE, 5, max_bytes))
    assert not isinstance(reply, RawReply), reply
    return reply


def _body(body: bytes, encoding: str = "identity", then: Exception | None = None) -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": encoding}, stream=_Dripping(body, then))


CALLS: Final = (
    Sample(
        says="no connection: name not found, refused, a certificate that does not hold, no answer to it in time",
        outcome=_called(ConnectionRefusedError(111, "refused")),
    ),
    Sample(says="no complete answer within the tier's `timeout`", outcome=_called(TimeoutError())),
    Sample(
        says="a connection that breaks after the request may have gone out: reset, body cut short",
        outcome=_called(_body(b"{", then=httpx.ReadError("reset"))),
    ),
    Sample(says="a body of more than 16 MiB", outcome=_called(_body(b"12"), max_bytes=1)),
    Sample(says="a compressed body that does not end where it should", outcome=_called(_body(b"", "gzip"))),
    Sample(says="a body in an encoding that was not asked for", outcome=_called(_body(b"", "br"))),
)
"""What becomes of a call without a whole answer."""
