"""What of a line asks for nothing: it may be there, and is no part of the job.

Files are often written from requests and answers of the chat completions API, which are full of nulls, empty lists and
defaults. Source: OpenAI's API reference, create chat completion, for what happens when a parameter is absent.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .line_problem import quote

_ASKS_NOTHING: Final[Mapping[str, tuple[object, ...]]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True,),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_key": (),
    "safety_identifier": (),
    "service_tier": ("auto",),
    "store": (False,),
    "stream": (False,),
    "stream_options": (),
    "top_logprobs": (),
    "user": (),
    "verbosity": ("medium",),
    "web_search_options": (),
}
"""Parameters that no job has, each with the value besides null that asks for what happens anyway."""
_OF_ANSWERS: Final = frozenset(
    {
        "annotations",
        "audio",
        "function_call",
        "name",
        "reasoning",
        "reasoning_content",
        "refusal",
        "tool_calls",
    }
)
"""Keys of a message that is taken from an answer; empty, they say nothing."""
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


def drop_parameters(fields: dict[str, Any]) -> Iterator[str]:
    """Take the parameters that no job has out of the body of a request.

    Args:
        fields: the body; it is changed.

    Yields:
        Why a parameter is refused, since it asks for something.
    """
    for key in [key for key in fields if key in _ASKS_NOTHING]:
        value, harmless = fields.pop(key), _ASKS_NOTHING[key]
        if value is not None and value not in harmless:
            allowed = json.dumps(harmless[0]) if harmless else "null"
            yield f"{quote('body.' + key)} must be {allowed} or absent: no job has such a parameter"


def drop_empty(fields: dict[str, Any]) -> None:
    """Take out of a job what is there and empty: null metadata, no tools, empty keys of messages from answers.

    Args:
        fields: of the job; they and their messages are changed.
    """
    if fields.get("metadata", 0) is None:
        del fields["metadata"]
    if fields.get("tools") == []:
        del fields["tools"]
    messages = fields.get("messages")
    turns = [turn for turn in messages if isinstance(turn, dict)] if isinstance(messages, list) else []
    called = dict(pair for turn in turns for pair in _calls(turn))
    for turn in turns:
        for key in _OF_ANSWERS & turn.keys():
            if turn[key] in _EMPTY:
                del turn[key]
        if turn.get("role") == "tool" and "name" in turn and turn["name"] == called.get(str(turn.get("tool_call_id"))):
            # Many write it beside the id of the call, which says the same.
            del turn["name"]


def _calls(turn: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The calls a message makes: the id, and the name of the function."""
    listed = turn.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            yield str(call.get("id")), function.get("name")
