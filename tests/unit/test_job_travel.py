"""A job is the same job after its travel: through its wire form, the envelope, and a worker's eyes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_producer import LineProblem
from pointsman_producer.line_parser import LineParser
from pointsman_queue import Opened, decode_envelope, encode_envelope
from pointsman_routes import Job

FIELDS: dict[str, Any] = {"custom_id": "t-1", "class": "triage", "messages": [{"role": "user", "content": "hello"}]}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.text(max_size=8), _JSON, max_size=4)


def _tools(parameters: object) -> list[dict[str, object]]:
    return [{"type": "function", "function": {"name": "f", "parameters": parameters}}]


def _nested(levels: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for _ in range(levels):
        found = {"é": found}
    return found


@given(_OBJECTS, _OBJECTS, _OBJECTS)
def test_any_json_travels_whole(parameters: object, schema: object, metadata: object) -> None:
    """Floats, large integers, nulls, any characters: tools, schema and metadata arrive as they were sent."""
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    job = Job.model_validate({**FIELDS, "tools": _tools(parameters), "response_format": form, "metadata": metadata})
    opened = decode_envelope(encode_envelope(job, 1, salt="s"))
    assert opened is not None
    assert opened == Opened(job, "s")
    assert opened.job.asked() == job.asked()


@pytest.mark.parametrize("field", ["tools", "metadata", "response_format"])
@pytest.mark.parametrize("levels", [1, 100, *range(180, 205), 500])
def test_what_is_accepted_can_be_read(field: str, levels: int) -> None:
    """However deeply nested: a line is refused, or a worker can read its job. None is accepted and then unreadable."""
    deep = _nested(levels)
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": deep}}
    value = {"tools": _tools(deep), "metadata": deep, "response_format": form}[field]
    parsed = LineParser(["triage"]).parse(1, json.dumps({**FIELDS, field: value}).encode())
    if isinstance(parsed, LineProblem):
        assert levels > 180
    else:
        assert decode_envelope(encode_envelope(parsed, 1, salt="s")) == (parsed, "s")


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 10**5000},
        {"tools": _tools({"x": 10**5000})},
        {"tools": _tools({"x": float("inf")})},
        {"tools": _tools({"\ud800": 1})},
        {"tools": _tools(_nested(500))},
        {"metadata": _nested(500)},
        {"custom_id": "\ud800"},
    ],
)
def test_what_cannot_travel_is_no_job(fields: dict[str, object]) -> None:
    """From Python too: what no reader of JSON takes is refused where it is handed in."""
    with pytest.raises(ValueError, match=r"cannot be written as JSON|unable to parse"):
        Job.model_validate({**FIELDS, **fields})


def test_digests_are_what_they_were() -> None:
    """Jobs without images, tools and forms keep the digest they had before jobs could have any."""
    messages = [
        {"role": "system", "content": "Sort."},
        {"role": "developer", "content": [{"type": "text", "text": "In é."}]},
        {"role": "user", "content": "Hi \u2603\U0001f600"},
        {"role": "assistant", "content": "Ho"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    full = {"max_tokens": 64, "temperature": 0.5, "top_p": 1, "stop": ["\n", "END"], "seed": 7, "metadata": {"k": [1]}}
    known = {
        "b2f96be6b8a28ab9c5bfab317866654a1c06081ebe565684dd9413c5dbe4cc3b": {"messages": messages, **full},
        "cfad3df05c1364d6db9d99d786e07d806a02e45d82b049a50b76e6bbb79560d0": {},
    }
    for digest, fields in known.items():
        assert Job.model_validate({**FIELDS, **fields}).prompt_digest() == digest
