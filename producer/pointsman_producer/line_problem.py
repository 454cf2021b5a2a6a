"""Why a line of a job file is refused, in words. What a prompt says is never among them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic_core import ErrorDetails

_SHOWN = 60
"""Characters shown of a name somebody wrote."""
_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that holds no acceptable job."""

    line_number: int
    """From 1."""
    custom_id: str | None
    """None when the line does not have one."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"line {self.line_number}: {self.message}"


def join_reasons(reasons: Iterable[str]) -> str:
    """Several reasons as one line."""
    listed = list(dict.fromkeys(reasons))
    more = len(listed) - _REASONS_SHOWN
    return "; also ".join(listed[:_REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")


def quote(name: str) -> str:
    """A name in quotation marks, cut to a readable length, without control characters."""
    text = name if len(name) <= _SHOWN else name[: _SHOWN - 1] + "…"
    return json.dumps(text, ensure_ascii=not text.isprintable())


def reasons_of(errors: Iterable[ErrorDetails], places: Mapping[str, str]) -> list[str]:
    """Say in words what pydantic found.

    Args:
        errors: its findings.
        places: how the file spells a field of the job, where it is not the field's own name.
    """
    found = list(errors)
    # A list of which every item is bad is reported as empty besides.
    bad_items = any(details["loc"][:1] == ("messages",) and len(details["loc"]) > 1 for details in found)
    return [
        _reason(details, places)
        for details in found
        if not (bad_items and details["type"] == "too_short" and details["loc"] == ("messages",))
    ]


def _reason(details: ErrorDetails, places: Mapping[str, str]) -> str:
    location = details["loc"]
    if location[:1] == ("messages",) and location[2:3] == ("content",) and len(location) > 3:
        place = _place(location[:3], places)
        return f'{place} must be a text, or a list of {{"type": "text", "text": "..."}} and images'
    place = _place(location, places)
    match details["type"]:
        case "extra_forbidden":
            return f"unknown key {place}; remove it or correct its spelling"
        case "missing":
            return f"{place} is missing; add it"
        case "too_short" if location == ("messages",):
            return f"{place} is empty; write at least one message"
        case _:
            message = details["msg"].removeprefix("Value error, ")
            if message.startswith("Input "):
                return f"{place} {message.removeprefix('Input ')}"
            return f"{place}: {message[:1].lower()}{message[1:]}" if location else message


def _place(location: tuple[int | str, ...], places: Mapping[str, str]) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else places.get(part, part)
    return quote(text)
