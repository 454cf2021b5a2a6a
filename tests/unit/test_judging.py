"""An answer is held against what its job asked of its form, whichever vendor gave it."""

from typing import Any

import pytest
from provider_samples import compatible, completion, job, raw, tier

from pointsman_routes import Answer, Empty, Job, Ok, Outcome, OutcomeKind, Refused, Truncated
from pointsman_worker.providers import keeps_to

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OBJECT = {"type": "json_object"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}}


def _judged(asked: Job, content: str | None = "hi", finish: str = "stop", **message: object) -> Outcome:
    choice = {"index": 0, "message": {"content": content, **message}, "finish_reason": finish}
    return keeps_to(asked, compatible().read(tier("m", served_as=["*"]), raw(completion(choices=[choice]))).outcome)


def _answer(outcome: Outcome) -> Answer:
    assert isinstance(outcome, Ok | Truncated)
    return outcome.answer


@pytest.mark.parametrize("content", ['{"a": 1}', ' \n{"a": 1}\n', "{}"])
@pytest.mark.parametrize("form", [OBJECT, SCHEMA])
def test_json_is_delivered_as_it_stands(content: str, form: dict[str, Any]) -> None:
    """White space around JSON is part of it."""
    assert _answer(_judged(job(response_format=form), content)).content == content


@pytest.mark.parametrize(
    "content", ['```json\n{"a": 1}\n```', '\ufeff{"a": 1}', '{"a": 1', '{"a": NaN}', '{"a": 1} Done.', "I cannot."]
)
@pytest.mark.parametrize("form", [OBJECT, SCHEMA])
def test_what_no_reader_of_json_takes(content: str, form: dict[str, Any]) -> None:
    """Fences, a byte order mark, words around it: whoever asked for JSON could not read it."""
    assert _judged(job(response_format=form), content).kind is OutcomeKind.TRANSIENT


@pytest.mark.parametrize("content", ["42", '"hi"', "[]", "null", "true"])
def test_an_object_is_an_object(content: str) -> None:
    """What asks for an object is not content with other JSON; a schema may ask for anything."""
    assert _judged(job(response_format=OBJECT), content).kind is OutcomeKind.TRANSIENT
    assert _judged(job(response_format=SCHEMA), content).kind is OutcomeKind.OK


def test_json_cut_at_the_limit() -> None:
    """It is known to be cut: delivered as such, if the class accepts that."""
    outcome = _judged(job(response_format=OBJECT), '{"a": [1, 2', "length")
    assert isinstance(outcome, Truncated)
    assert outcome.answer == Answer(content='{"a": [1, 2', finish_reason="length")


@pytest.mark.parametrize("fields", [{}, {"tools": TOOLS, "tool_choice": "none"}])
@pytest.mark.parametrize(("finish", "reason"), [("tool_calls", "stop"), ("stop", "stop"), ("length", "length")])
def test_calls_nobody_may_make(fields: dict[str, Any], finish: str, reason: str) -> None:
    """Calls of tools that were not offered, or were forbidden, are taken out, cut or not; alone they are nothing."""
    outcome = _judged(job(**fields), "hi", finish, tool_calls=[CALL])
    assert _answer(outcome) == Answer(content="hi", finish_reason=reason)
    assert _judged(job(**fields), None, finish, tool_calls=[CALL]) == Empty()


def test_json_beside_calls_nobody_may_make() -> None:
    """What is left when such calls are taken out is looked at like any other answer."""
    assert _judged(job(response_format=OBJECT), "hi", tool_calls=[CALL]).kind is OutcomeKind.TRANSIENT
    assert _judged(job(response_format=OBJECT), "{}", tool_calls=[CALL]).kind is OutcomeKind.OK


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ("required", True),
        ({"type": "function", "function": {"name": "f"}}, True),
        ({"type": "function", "function": {"name": "g"}}, False),
        ("auto", True),
    ],
)
def test_a_call_that_is_demanded(choice: object, kept: bool) -> None:
    """A server that ignores the demand, or calls another tool, has not answered the job."""
    asked = job(tools=TOOLS, tool_choice=choice)
    assert (_judged(asked, None, tool_calls=[CALL]).kind is OutcomeKind.OK) is kept
    assert (_judged(asked, "hi").kind is OutcomeKind.OK) is (choice == "auto")


def test_thoughts_are_no_answer() -> None:
    """A model that thought and said nothing has said nothing, also where it ran into the limit."""
    for finish in ("stop", "length"):
        assert _judged(job(), "", finish, reasoning_content="hm", reasoning="hm") == Empty()


def test_a_filter_takes_the_rest_too() -> None:
    """What was said before a filter cut in is withheld."""
    assert isinstance(_judged(job(), "Once upon", "content_filter"), Refused)


def test_the_first_of_several_answers() -> None:
    """A job has one answer; no kind is asked for more, and of more the first counts."""
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in ("one", "two")]
    outcome = compatible().read(tier("m", served_as=["*"]), raw(completion(choices=choices))).outcome
    assert _answer(outcome).content == "one"
