"""States, results and errors: the words everybody else speaks in."""

import json

import pytest
from pydantic import ValidationError

import pointsman_routes
from pointsman_routes import (
    ConfigError,
    JobState,
    KeyMissing,
    PointsmanError,
    Problem,
    QueueFull,
    Reason,
    Requested,
    Result,
    ResultError,
    Served,
    ServiceUnavailable,
    Story,
    TokenCount,
    UsageProblem,
)


def test_final_states() -> None:
    """Four states are final, four are not."""
    assert {state for state in JobState if state.final} == {"succeeded", "failed", "expired", "cancelled"}


def test_exit_codes() -> None:
    """Every error has the exit code of its branch: 1 work, 2 use or configuration, 3 a service."""
    errors = [value for value in vars(pointsman_routes).values() if isinstance(value, type)]
    for error in (value for value in errors if issubclass(value, PointsmanError)):
        expected = 2 if issubclass(error, UsageProblem) else 3 if issubclass(error, ServiceUnavailable) else 1
        assert error.exit_code == expected
        assert error.__doc__
    assert issubclass(KeyMissing, UsageProblem)
    assert issubclass(QueueFull, ServiceUnavailable)


def test_problem_reads_as_one_line() -> None:
    """A problem is read as its key, what is wrong, and what to write."""
    problem = Problem("classes.triage.route[0]", "unknown tier 'x'", "name one of: y")
    assert str(problem) == "classes.triage.route[0]: unknown tier 'x'; name one of: y"
    assert str(ConfigError([problem])) == str(problem)


def _story(**changes: object) -> Story:
    values = {
        "state": JobState.SUCCEEDED,
        "class": "triage",
        "requested": Requested(tier="alpha/main", model="a"),
        **changes,
    }
    return Story.model_validate(values)


def test_result_line() -> None:
    """A result is one line in the form of the batch output, and is read back as it was."""
    story = _story(
        served=Served(tier="beta/main", provider="beta", model="b-0001", region="local"),
        fallback_reason=Reason.OVERLOADED,
        attempts=3,
        usage=TokenCount(input_tokens=12, output_tokens=5),
        cost_usd="0.000013",
    )
    line = Result(id="1", custom_id="t\n1", pointsman=story).to_line()
    assert "\n" not in line
    told = json.loads(line)["pointsman"]
    assert (told["class"], told["requested"]["tier"], told["served"]["tier"]) == ("triage", "alpha/main", "beta/main")
    assert told["fallback_reason"] == "overloaded"
    assert Result.model_validate_json(line).pointsman == story


def test_failed_result_line() -> None:
    """A job without an answer has a null response and an error with code and message."""
    error = ResultError(code="refused", message="no")
    line = Result(id="1", custom_id="t-1", error=error, pointsman=_story(state=JobState.FAILED)).to_line()
    assert json.loads(line)["response"] is None
    assert json.loads(line)["error"] == {"code": "refused", "message": "no"}


def test_result_is_closed() -> None:
    """A result with a key nobody declared is refused."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        _story(served_by="beta")
