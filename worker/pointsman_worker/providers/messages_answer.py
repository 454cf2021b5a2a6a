"""Reading an answer of the messages API.

Source: platform.claude.com, API reference, the message object; stop reasons.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from pointsman_routes import CalledFunction, ToolCall, Usage

from .judging import Finish
from .payload import count_of, object_of, text_of, write_arguments

MESSAGES_FINISHES: Final[Mapping[str | None, Finish]] = {
    "end_turn": Finish.STOP,
    "stop_sequence": Finish.STOP,
    "tool_use": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "model_context_window_exceeded": Finish.LENGTH,
    "refusal": Finish.REFUSED,
}
"""`pause_turn` belongs to server tools, which no job has; it and anything new is an answer that may not be whole."""


def blocks_of(payload: Mapping[str, object]) -> list[Mapping[str, object]] | None:
    """The blocks of the answer; None when it has a shape nobody sends."""
    blocks = payload.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return None
    return blocks


def text_in(blocks: Iterable[Mapping[str, object]]) -> str:
    """What was said; what was thought is no part of it."""
    return "".join(text_of(block.get("text")) or "" for block in blocks if block.get("type") == "text")


def tool_calls_in(blocks: Iterable[Mapping[str, object]]) -> tuple[ToolCall, ...] | None:
    """The tools called; None when one of the calls cannot be read, since half the calls are no answer."""
    calls = [_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
    whole = tuple(call for call in calls if call is not None)
    return whole if len(whole) == len(calls) else None


def _tool_call(block: Mapping[str, object]) -> ToolCall | None:
    call_id, name, given = text_of(block.get("id")), text_of(block.get("name")), block.get("input")
    if call_id is None or name is None or not isinstance(given, dict):
        return None
    arguments = write_arguments(given)
    if arguments is None:
        return None
    return ToolCall(id=call_id, function=CalledFunction(name=name, arguments=arguments))


def usage_of(usage: Mapping[str, object]) -> Usage | None:
    """The usage of an answer; None unless both counts are there.

    Unlike OpenAI's, `input_tokens` leaves out what was written to the cache and read from it. Who has no cache sends
    null for both.
    """
    fresh, said = count_of(usage.get("input_tokens")), count_of(usage.get("output_tokens"))
    written = count_of(usage.get("cache_creation_input_tokens") or 0)
    cached = count_of(usage.get("cache_read_input_tokens") or 0)
    if fresh is None or said is None or written is None or cached is None:
        return None
    thought = count_of(object_of(usage.get("output_tokens_details")).get("thinking_tokens"))
    return Usage(
        input_tokens=fresh + written + cached,
        output_tokens=said,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=min(thought, said) if thought is not None else None,
    )
