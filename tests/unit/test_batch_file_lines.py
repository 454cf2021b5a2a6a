import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_producer import Job, LineProblem
from pointsman_producer.line_parser import LineParser
from pointsman_routes import Message

_ABSENT = object()
_SECRET = "the launch code is 7251"


def _line(**changes: object) -> bytes:
    fields = {"custom_id": "t-17", "class": "triage", "messages": [{"role": "user", "content": _SECRET}], **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not _ABSENT}).encode()


def _openai_line(envelope: dict[str, object] | None = None, /, **changes: object) -> bytes:
    body = {"model": "triage", "messages": [{"role": "user", "content": _SECRET}], **changes}
    whole: dict[str, object] = {
        "custom_id": "t-17",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {key: value for key, value in body.items() if value is not _ABSENT},
        **(envelope or {}),
    }
    return json.dumps({key: value for key, value in whole.items() if value is not _ABSENT}).encode()


def _parse(line: bytes, class_override: str | None = None) -> Job | LineProblem:
    return LineParser(["triage", "reasoning"], class_override).parse(17, line)


def _message(line: bytes, class_override: str | None = None) -> str:
    problem = _parse(line, class_override)
    assert isinstance(problem, LineProblem)
    return str(problem)


_JOB = Job(custom_id="t-17", task_class="triage", messages=(Message(role="user", content=_SECRET),))
_PARAMETERS: dict[str, Any] = {
    "max_tokens": 64,
    "temperature": 0.5,
    "top_p": 0.9,
    "stop": ["\n"],
    "seed": 3,
    "metadata": {"a": [1]},
}


def test_forms_mean_the_same() -> None:
    """A job is the same job in either form, with all its parameters."""
    job = Job.model_validate({**json.loads(_line()), **_PARAMETERS})
    assert _parse(_line(**_PARAMETERS)) == job
    assert _parse(_openai_line(**_PARAMETERS)) == job


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": False},
        {"stream": None},
        {"n": 1},
        {"metadata": None},
        {"temperature": None},
        {"max_completion_tokens": None},
    ],
)
def test_what_asks_for_nothing_may_stay(changes: dict[str, object]) -> None:
    """Parameters of the chat completions API that change nothing are accepted."""
    assert _parse(_openai_line(**changes)) == _JOB


@pytest.mark.parametrize(("old", "new"), [(_ABSENT, 64), (None, 64), (64, 64), (64, None), (64, _ABSENT)])
def test_new_name_of_the_limit(old: object, new: object) -> None:
    """`max_completion_tokens` is `max_tokens`."""
    job = _parse(_openai_line(max_tokens=old, max_completion_tokens=new))
    assert isinstance(job, Job)
    assert job.max_tokens == 64


@pytest.mark.parametrize("class_override", [None, "triage"])
def test_class_under_its_python_name(class_override: str | None) -> None:
    """A line written from Python may name the class `task_class`."""
    assert _parse(_line(**{"class": _ABSENT}, task_class="triage"), class_override) == _JOB
    assert 'unknown class "poetry"' in _message(_line(**{"class": _ABSENT}, task_class="poetry"))


def test_word_body_in_a_native_line() -> None:
    """The word "body" as a value does not make a line one of the other form."""
    job = _parse(_line(metadata={"part": "body"}))
    assert isinstance(job, Job)
    assert job.metadata == {"part": "body"}


def test_body_spelled_with_an_escape() -> None:
    """JSON has many spellings of a key; all of them are the key."""
    assert _parse(_openai_line().replace(b'"body"', rb'"b\u006fdy"')) == _JOB


@pytest.mark.parametrize(
    "line",
    [_line(), _line(**{"class": _ABSENT}), _line(**{"class": "poetry"}), _openai_line(), _openai_line(model="gpt-4o")],
)
def test_override(line: bytes) -> None:
    """A class for the whole file holds for every line, whatever it says itself."""
    job = _parse(line, "reasoning")
    assert isinstance(job, Job)
    assert job.task_class == "reasoning"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (_line(tempratur=1), 'unknown key "tempratur"; remove it or correct its spelling'),
        (_line(custom_id=_ABSENT), '"custom_id" is missing; add it'),
        (_line(custom_id=""), '"custom_id": string should have at least 1 character'),
        (_line(messages=_ABSENT), '"messages" is missing; add it'),
        (_line(messages=[]), '"messages" is empty; write at least one message'),
        (_line(messages=[{"role": "user", "content": " "}]), '"messages": every message is empty'),
        (_line(messages=[{"role": "user"}]), '"messages[0].content" is missing; add it'),
        (
            _line(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": _SECRET}}]}]),
            '"messages[0].content" must be a text, or a list of {"type": "text", "text": "..."} and images',
        ),
        (
            _line(messages=[{"role": "pilot", "content": _SECRET}]),
            "\"messages[0].role\" should be 'system', 'developer', 'user', 'assistant' or 'tool'",
        ),
        (_line(temperature=3), '"temperature" should be less than or equal to 2'),
        (
            _line(**{"class": _ABSENT}),
            '"class" is missing; name a task class, or give one for the whole file with --class',
        ),
        (_line(**{"class": "poetry"}), 'unknown class "poetry" in "class"; the configuration has: reasoning, triage'),
        (_line(**{"class": ["triage"]}), '"class" must be a text, the name of a task class'),
        (_line(task_class="triage"), 'unknown key "task_class"; remove it or correct its spelling'),
        (
            _openai_line(model="GPT"),
            'unknown class "GPT" in "body.model"; the configuration has: reasoning, triage',
        ),
        (
            _openai_line(model=_ABSENT),
            '"body.model" is missing; name a task class, or give one for the whole file with --class',
        ),
        (_openai_line(messages=_ABSENT), '"body.messages" is missing; add it'),
        (_openai_line(top_p=7), '"body.top_p" should be less than or equal to 1'),
        (_openai_line(user="me"), '"body.user" must be null or absent: no job has such a parameter'),
        (_openai_line(**{"class": "triage"}), 'unknown key "body.class"; remove it or correct its spelling'),
        (_openai_line(custom_id="x"), 'unknown key "body.custom_id"; remove it or correct its spelling'),
        (_openai_line({"priority": 1}), 'unknown key "priority"; remove it or correct its spelling'),
        (_openai_line({"custom_id": _ABSENT}), '"custom_id" is missing; add it'),
        (_openai_line({"method": "GET"}), '"method" must be "POST"'),
        (_openai_line({"method": _ABSENT}), '"method" must be "POST"'),
        (_openai_line({"url": "/v1/embeddings"}), '"url" must be "/v1/chat/completions"'),
        (_openai_line(stream=True), '"body.stream" must be false or absent: no job has such a parameter'),
        (_openai_line(n=2), '"body.n" must be 1 or absent: no job has such a parameter'),
        (
            _openai_line(max_tokens=1, max_completion_tokens=2),
            '"body.max_tokens" and "body.max_completion_tokens" differ; remove one of the two',
        ),
        (_openai_line(max_completion_tokens=0), '"body.max_completion_tokens" should be greater than or equal to 1'),
        (b"[1]", "not a JSON object; write one job a line"),
        (_line()[:-1] + b"\xff}", "not valid UTF-8 at byte 110; save the file as UTF-8"),
    ],
)
def test_message(line: bytes, message: str) -> None:
    """Whatever is wrong is said in plain words, with the line's number and what to do; content is not shown."""
    said = _message(line)
    assert said == f"line 17: {message}"
    assert _SECRET not in said


def test_broken_json_says_where() -> None:
    """A line that is not JSON says at which column, and shows nothing of the line."""
    assert _message(_line()[:-1]) == (
        "line 17: not valid JSON: EOF while parsing an object at column 109; write one JSON object a line"
    )


def test_body_that_is_no_object() -> None:
    """A body of another kind is named as that."""
    assert _message(_openai_line({"body": "text"})).startswith(
        'line 17: "body" must be an object with "model" and "messages"; also '
    )


def test_every_mistake_of_a_line() -> None:
    """Several mistakes are said together, the first three of them."""
    said = _message(_line(a=1, b=2, c=3, temperature=5, **{"class": "poetry"}))
    assert said.count("; also ") == 2
    assert said.endswith("; and 2 more")


def test_custom_id_of_a_problem() -> None:
    """A problem carries the line's custom_id where it has one."""
    for line, custom_id in [(_line(a=1), "t-17"), (_line(custom_id=5), None), (b"{", None)]:
        problem = _parse(line)
        assert isinstance(problem, LineProblem)
        assert problem.custom_id == custom_id


def test_names_are_shown_in_part() -> None:
    """A key of any length or make is shown cut, without control characters."""
    said = _message(_line(**{"\x1b[31m\u202e" + "k" * 500: 1}))
    assert said.isprintable()
    assert len(said) < 160


_KEYS = ("custom_id", "class", "messages", "metadata", "stop", "body", "max_tokens", "model", "n", "stream")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    ),
    key=st.sampled_from(_KEYS),
    class_override=st.sampled_from([None, "triage"]),
)
def test_anything_is_a_job_or_a_problem(value: object, key: str, class_override: str | None) -> None:
    """Whatever JSON a line holds, in whatever place, it is answered with a job or a problem."""
    for line in (json.dumps(value).encode(), _line(**{key: value}), _openai_line(**{key: value})):
        assert isinstance(_parse(line, class_override), Job | LineProblem)
