"""Reading what Google's generateContent answers.

Sources: ai.google.dev, API reference (GenerateContentResponse, UsageMetadata), and the response types of google-genai
3.6.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pointsman_routes import CalledFunction, ToolCall, Usage

from .judging import Finish, Spoken
from .payload import count_of, object_of, text_of, write_arguments

GOOGLE_FINISHES: Final[Mapping[str | None, Finish]] = {
    "STOP": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "CONTINUATION": Finish.LENGTH,
    "SAFETY": Finish.REFUSED,
    "RECITATION": Finish.REFUSED,
    "LANGUAGE": Finish.REFUSED,
    "BLOCKLIST": Finish.REFUSED,
    "PROHIBITED_CONTENT": Finish.REFUSED,
    "SPII": Finish.REFUSED,
    "MODEL_ARMOR": Finish.REFUSED,
    "ESCALATION": Finish.REFUSED,
    "IMAGE_SAFETY": Finish.REFUSED,
    "IMAGE_PROHIBITED_CONTENT": Finish.REFUSED,
    "IMAGE_RECITATION": Finish.REFUSED,
    # What follows says nothing against the job: another call, or another tier, may do.
    "OTHER": Finish.BROKEN,
    "MALFORMED_FUNCTION_CALL": Finish.BROKEN,
    "MALFORMED_RESPONSE": Finish.BROKEN,
    "UNEXPECTED_TOOL_CALL": Finish.BROKEN,
    "TOO_MANY_TOOL_CALLS": Finish.BROKEN,
    "MISSING_THOUGHT_SIGNATURE": Finish.BROKEN,
    "PUP_LIMITED_DISABLED": Finish.BROKEN,
    "IMAGE_OTHER": Finish.BROKEN,
    "NO_IMAGE": Finish.BROKEN,
    "FINISH_REASON_UNSPECIFIED": Finish.BROKEN,
}
"""PUP_LIMITED_DISABLED is about the account: its use of Google is limited for what it did before."""

_TOLD: Final = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")
"""An answer has one of these at least; an object without any is none of Google's."""
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


def spoken_of(payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
    """What was said; None when the shape is not Google's.

    A blocked prompt comes with status 200, without candidates and with the reason in `promptFeedback`. Without either
    nothing was said.
    """
    candidates, model = payload.get("candidates"), payload.get("modelVersion")
    if not isinstance(candidates, list | None) or not isinstance(model, str | None):
        return None
    if not any(payload.get(name) is not None for name in _TOLD):
        return None
    content, finish, reason = "", Finish.STOP, None
    calls: tuple[ToolCall, ...] = ()
    blocked = text_of(object_of(payload.get("promptFeedback")).get("blockReason"))
    if blocked is not None:
        finish, reason = Finish.REFUSED, blocked
    elif candidates:
        candidate = object_of(candidates[0])
        parts, reason = _parts(candidate.get("content")), text_of(candidate.get("finishReason"))
        said = _text(parts) if parts is not None else None
        called = _tool_calls(parts, text_of(payload.get("responseId"))) if parts is not None else None
        if said is None or called is None:
            return None
        content, calls, finish = said, called, GOOGLE_FINISHES.get(reason, Finish.BROKEN)
    return Spoken(
        content=content,
        finish=finish,
        finish_reason=reason,
        model=model_of(payload),
        tool_calls=calls,
        service_tier=_service_tier(object_of(payload.get("usageMetadata")), headers),
    )


def model_of(payload: Mapping[str, object]) -> str | None:
    """The model that answered, without the collection that Google's resource names begin with."""
    model = text_of(payload.get("modelVersion"))
    return model.removeprefix("models/") if model is not None else None


def _service_tier(usage: Mapping[str, object], headers: Mapping[str, str]) -> str | None:
    """The Gemini API says it in a header, or with the usage; Vertex AI as the type of traffic."""
    told = (headers.get("x-gemini-service-tier"), usage.get("serviceTier"), usage.get("trafficType"))
    return next(filter(None, map(text_of, told)), None)


def _parts(content: object) -> list[Mapping[str, object]] | None:
    """What the answer consists of; None when it cannot be read. One that was filtered has no content."""
    if not isinstance(content, dict | None):
        return None
    parts = object_of(content).get("parts", [])
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return None
    # A thought is no part of the answer, only of how it came about.
    return [part for part in parts if part.get("thought") is not True]


def _text(parts: Iterable[Mapping[str, object]]) -> str | None:
    texts = [part["text"] for part in parts if "text" in part]
    strings = [text for text in texts if isinstance(text, str)]
    return "".join(strings) if len(strings) == len(texts) else None


def _tool_calls(parts: Iterable[Mapping[str, object]], response_id: str | None) -> tuple[ToolCall, ...] | None:
    """The functions that are called; None when one of them cannot be read, since half the calls are no answer."""
    called = [object_of(part["functionCall"]) for part in parts if "functionCall" in part]
    # Older models and Vertex AI give calls no id. One that is made up must differ from those of other turns.
    known = f"{response_id}_" if response_id is not None and _PLAIN_ID.fullmatch(response_id) else ""
    calls = [_tool_call(call, f"call_{known}{n}") for n, call in enumerate(called)]
    return tuple(call for call in calls if call is not None) if None not in calls else None


def _tool_call(call: Mapping[str, object], made_up_id: str) -> ToolCall | None:
    name, arguments = text_of(call.get("name")), call.get("args")
    if name is None or not isinstance(arguments, dict | None):
        return None
    written = write_arguments(arguments or {})
    if written is None:
        return None
    return ToolCall(id=text_of(call.get("id")) or made_up_id, function=CalledFunction(name=name, arguments=written))


def usage_of(usage: Mapping[str, object]) -> Usage | None:
    """The usage of an answer; None unless input and output are known.

    The total is the sum of prompt, results of tools, candidates and thoughts (google-genai,
    GenerateContentResponseUsageMetadata). A count of 0 is left out: that of candidates where the model was cut off
    while it thought, or the prompt was blocked. It then follows from the total; without one it is unknown.
    """
    prompt, tools = count_of(usage.get("promptTokenCount")), count_of(usage.get("toolUsePromptTokenCount")) or 0
    said, thought = count_of(usage.get("candidatesTokenCount")), count_of(usage.get("thoughtsTokenCount"))
    if prompt is None:
        return None
    spent = prompt + tools
    if said is None:
        total = count_of(usage.get("totalTokenCount"))
        said = total - spent - (thought or 0) if total is not None else -1
        if said < 0:
            return None
    return Usage(
        input_tokens=spent,
        output_tokens=said + (thought or 0),
        cached_input_tokens=min(count_of(usage.get("cachedContentTokenCount")) or 0, spent),
        reasoning_tokens=thought,
    )
