"""Reading a chat completion.

Source: OpenAI's API reference, the chat completion object.
"""

from collections.abc import Mapping
from typing import Final

from pointsman_routes import CalledFunction, ToolCall, Usage

from .judging import Finish
from .payload import count_of, object_of, text_of

CHAT_FINISHES: Final[Mapping[str | None, Finish]] = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "eos_token": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_calls": Finish.STOP,
    "function_call": Finish.STOP,
    None: Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "model_length": Finish.LENGTH,
    "content_filter": Finish.REFUSED,
    "refusal": Finish.REFUSED,
}
"""Compatible servers have spellings of their own, and some send none."""


def first_choice(payload: Mapping[str, object]) -> Mapping[str, object]:
    """The first answer of a completion; empty when there is none."""
    choices = payload.get("choices")
    return object_of(choices[0]) if isinstance(choices, list) and choices else {}


def content_of(message: Mapping[str, object]) -> str | None:
    """The text of a message; None when it has a shape nobody sends."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None
    return "".join(text_of(part.get("text")) or "" for part in content if part.get("type") == "text")


def tool_calls_of(message: Mapping[str, object]) -> tuple[ToolCall, ...] | None:
    """The functions a message calls; None when one of them cannot be read, since half the calls are no answer."""
    listed = message.get("tool_calls")
    if listed is None:
        return ()
    if not isinstance(listed, list):
        return None
    calls = tuple(call for call in map(_tool_call, map(object_of, listed)) if call is not None)
    return calls if len(calls) == len(listed) else None


def _tool_call(call: Mapping[str, object]) -> ToolCall | None:
    function = object_of(call.get("function"))
    name, arguments, call_id = text_of(function.get("name")), function.get("arguments"), text_of(call.get("id"))
    if call.get("type", "function") not in ("function", None) or name is None or call_id is None:
        return None
    if not isinstance(arguments, str):
        return None
    return ToolCall(id=call_id, function=CalledFunction(name=name, arguments=arguments))


def usage_of(usage: Mapping[str, object], cached_field: str | None = None) -> Usage | None:
    """The usage of a completion; None unless both counts are there.

    Tokens read from the cache and written to it are parts of the prompt, so neither is believed to be more than the
    whole. Reasoning is a part of the completion, except where the total says that it comes on top: xAI counts it so.

    Args:
        usage: the vendor's object.
        cached_field: where the tokens read from the cache stand if not in `prompt_tokens_details.cached_tokens`.
    """
    spent, said = count_of(usage.get("prompt_tokens")), count_of(usage.get("completion_tokens"))
    if spent is None or said is None:
        return None
    prompt, completion = (
        object_of(usage.get("prompt_tokens_details")),
        object_of(usage.get("completion_tokens_details")),
    )
    cached = count_of(prompt.get("cached_tokens"))
    if cached is None and cached_field is not None:
        cached = count_of(usage.get(cached_field))
    cached = min(cached or 0, spent)
    reasoning = count_of(completion.get("reasoning_tokens"))
    if reasoning is not None and usage.get("total_tokens") == spent + said + reasoning:
        said += reasoning
    return Usage(
        input_tokens=spent,
        output_tokens=said,
        cached_input_tokens=cached,
        cache_write_tokens=min(count_of(prompt.get("cache_write_tokens")) or 0, spent - cached),
        reasoning_tokens=min(reasoning, said) if reasoning is not None else None,
    )
