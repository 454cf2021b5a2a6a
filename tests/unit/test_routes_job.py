"""A job is what its producer wrote, or it is refused."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman_routes import Job, Message


def _job(**changes: Any) -> Job:
    raw = {"custom_id": "t-1", "class": "triage", "messages": [{"role": "user", "content": "hello"}], **changes}
    return Job.model_validate({key: value for key, value in raw.items() if value is not None})


def test_frozen() -> None:
    """A job does not change; a change is a new job."""
    job = _job()
    with pytest.raises(ValidationError, match="frozen"):
        job.custom_id = "t-2"  # type: ignore[misc]  # what is tested is that it fails
    assert job.model_copy(update={"custom_id": "t-2"}).messages == job.messages


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"max_token": 5}, "max_token"),
        ({"task_class": "other"}, "task_class"),
        ({"custom_id": None}, "custom_id"),
        ({"custom_id": ""}, "custom_id"),
        ({"custom_id": "\ud83d"}, "custom_id"),
        ({"custom_id": "x" * 257}, "custom_id"),
        ({"class": None}, "class"),
        ({"class": "Triage"}, "class"),
        ({"class": "triage\n"}, "class"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [{"role": "user", "content": " \n"}, {"role": "system", "content": []}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "name": "bo"}]}, "messages.0.name"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10_000_001}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"metadata": []}, "metadata"),
    ],
)
def test_refused(changes: dict[str, Any], place: str) -> None:
    """Each mistake is named with its place, and the prompt is not repeated in the message."""
    with pytest.raises(ValidationError) as raised:
        _job(**changes)
    assert place in {".".join(map(str, error["loc"])) for error in raised.value.errors()}
    assert "hello" not in str(raised.value)


def test_image_part_is_refused() -> None:
    """Content a text route cannot carry is refused, never dropped."""
    with pytest.raises(ValidationError):
        _job(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}])


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": [{"role": "user", "content": "half \ud83d of a pair"}]},
        {"stop": "\ud83d"},
        {"metadata": {"note": "\ud83d"}},
        {"metadata": {"\ud83d": 1}},
        {"metadata": {"when": object()}},
        {"metadata": {"share": math.nan}},
    ],
)
def test_what_cannot_be_written_is_refused(changes: dict[str, Any]) -> None:
    """What has no form in JSON and UTF-8 is refused here, not found out halfway to Redis."""
    with pytest.raises(ValidationError, match="cannot be written as JSON in UTF-8"):
        _job(**changes)


def test_both_spellings() -> None:
    """`class` in a file and `task_class` in Python are one field, written as `class`."""
    raw = _job().model_dump(by_alias=False)
    assert Job.model_validate(raw) == _job()
    assert '"class":"triage"' in _job().to_wire()


def test_one_stop_string() -> None:
    """One stop string is a list of one."""
    assert _job(stop="END") == _job(stop=["END"])


def test_text_parts() -> None:
    """Text in parts reads as one text, and stays in parts on the wire."""
    job = _job(messages=[{"role": "user", "content": [{"type": "text", "text": "he"}, {"type": "text", "text": "y"}]}])
    assert job.messages[0].text == "hey"
    assert job.characters == 3
    assert Job.model_validate_json(job.to_wire()) == job


def test_wire_has_no_absent_parameters() -> None:
    """A parameter nobody set is not sent: a vendor's default stays the vendor's."""
    assert _job().to_wire() == ('{"custom_id":"t-1","class":"triage","messages":[{"role":"user","content":"hello"}]}')


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    st.none() | st.floats(0, 2),
    st.dictionaries(st.sampled_from("abc"), st.integers(-(2**53), 2**53) | st.booleans() | st.none()),
)
def test_wire_round_trip(custom_id: str, texts: list[str], temperature: float | None, metadata: dict[str, Any]) -> None:
    """A job is read back from the wire as it was, a null in its metadata included."""
    messages = [{"role": "user", "content": text} for text in [*texts, "ask"]]
    job = _job(custom_id=custom_id, messages=messages, temperature=temperature, metadata=metadata)
    assert Job.model_validate_json(job.to_wire()) == job


def test_prompt_digest_is_of_what_is_asked() -> None:
    """The digest changes with messages, parameters and class, not with the producer's own names."""
    job = _job()
    assert _job(custom_id="t-2", metadata={"a": 1}).prompt_digest() == job.prompt_digest()
    asked = [
        job,
        _job(max_tokens=5),
        _job(temperature=0),
        _job(stop="x"),
        _job(seed=1),
        _job(**{"class": "other"}),
        _job(messages=[{"role": "user", "content": "hello!"}]),
        _job(messages=[{"role": "system", "content": "hello"}]),
    ]
    assert len({other.prompt_digest() for other in asked}) == len(asked)


def test_hidden_input() -> None:
    """A message that is refused is not shown in the error."""
    with pytest.raises(ValidationError) as raised:
        Message.model_validate({"role": "user", "content": {"secret": "prompt text"}})
    assert "prompt text" not in str(raised.value)
