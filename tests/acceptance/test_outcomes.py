"""Whatever a vendor does, every job ends as documented, and nothing about it is silent."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from acceptance_line import Line, attempts_recorded, calls_made
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance

_COUNT = 8
_BATCH = "misbehaviour"
_MODES: Mapping[str, Mapping[str, Any]] = {
    "overloaded": {"status": 503},
    "refusing": {},
    "throttled": {"status": 429, "headers": {"retry-after": "1"}, "times": _COUNT},
    "empty": {"behaviour": "empty"},
    "truncated": {"behaviour": "truncate"},
    "cutoff": {"behaviour": "truncate"},
    "refused": {"behaviour": "refuse"},
    "scolded": {"behaviour": "error_inside"},
    "severed": {"behaviour": "cut"},
    "blank": {"behaviour": "blank"},
    "giant": {"behaviour": "giant"},
    "dripping": {"behaviour": "drip"},
}
"""How the primary of each route misbehaves."""


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What became of the jobs of one route."""

    route: Route
    results: list[dict[str, Any]]
    finals: list[dict[str, Any]]
    fallbacks: list[dict[str, Any]]
    attempts: list[dict[str, Any]]

    @property
    def answered_by(self) -> set[str]:
        """The tiers in the results."""
        return {str(result["pointsman"]["served"]["tier"]) for result in self.results}

    @property
    def reasons(self) -> set[str | None]:
        """Why the primary was left, by the results."""
        return {result["pointsman"]["fallback_reason"] for result in self.results}

    @property
    def at_primary(self) -> list[dict[str, Any]]:
        """Attempts at the primary."""
        return [attempt for attempt in self.attempts if attempt["tier"] == self.route.primary]

    @property
    def outcomes(self) -> Counter[str]:
        """Of the attempts at the primary."""
        return Counter(str(attempt["outcome"]) for attempt in self.at_primary)


@pytest.fixture(scope="module")
def aftermaths(line: Line, routes: dict[str, Route]) -> dict[str, Aftermath]:
    """One batch with jobs of every route, after it has ended."""
    for name, mode in _MODES.items():
        line.vendor.behave(routes[name].primary_model, **mode)
    jobs = [job for name in _MODES for job in routes[name].jobs(_COUNT)]
    results = line.ask(jobs, batch=_BATCH, expect=1)
    finals = line.audit("--batch", _BATCH)
    fallbacks = line.audit("--batch", _BATCH, "--fallback")
    attempts = line.audit("--batch", _BATCH, "--kind", "attempt")
    class_of = {final["job_id"]: final["task_class"] for final in finals}
    return {
        name: Aftermath(
            route=routes[name],
            results=[entry for entry in results if entry["pointsman"]["class"] == name],
            finals=[entry for entry in finals if entry["task_class"] == name],
            fallbacks=[entry for entry in fallbacks if entry["task_class"] == name],
            attempts=[entry for entry in attempts if class_of[entry["job_id"]] == name],
        )
        for name in _MODES
    }


@pytest.fixture
def after(request: pytest.FixtureRequest, aftermaths: dict[str, Aftermath]) -> Aftermath:
    """The aftermath a test names with `of`."""
    return aftermaths[str(request.param)]


def of(*names: str) -> pytest.MarkDecorator:
    """Run a test on what became of these routes."""
    return pytest.mark.parametrize("after", names, indirect=True, ids=names)


@of(*_MODES)
def test_everything_is_on_record(line: Line, after: Aftermath) -> None:
    """One final record a job, one attempt record a call of the vendor's own list, and no fallback without a record."""
    route = after.route
    assert Counter(record["custom_id"] for record in after.finals) == Counter(
        job["custom_id"] for job in route.jobs(_COUNT)
    )
    recorded = attempts_recorded(after.attempts, after.finals)
    called = calls_made(line, route.primary_model, route.backup_model)
    unreached = [attempt for attempt in after.at_primary if not route.reachable]
    assert recorded == called + attempts_recorded(unreached, after.finals)
    moved = {result["custom_id"] for result in after.results if _served_elsewhere(result)}
    assert {record["custom_id"] for record in after.fallbacks} == moved
    assert all(record["fallback_reason"] for record in after.fallbacks)


def _served_elsewhere(result: Mapping[str, Any]) -> bool:
    story = result["pointsman"]
    return story["served"] is not None and story["served"]["tier"] != story["requested"]["tier"]


@of("overloaded", "refusing")
def test_primary_down(after: Aftermath) -> None:
    """With the primary away the backup answers every job, and each fallback names asked, served and reason."""
    route = after.route
    reasons = {"overloaded" if route.reachable else "transient", "breaker_open"}
    assert after.answered_by == {route.backup}
    assert after.reasons <= reasons
    assert len(after.fallbacks) == _COUNT
    for record in after.fallbacks:
        assert (record["requested_tier"], record["requested_model"]) == (route.primary, route.primary_model)
        assert (record["served_tier"], record["served_model"]) == (route.backup, route.backup_model)
        assert record["fallback_reason"] in reasons
        assert [step["tier"] for step in record["path"]] == [route.primary, route.backup]


@of("refusing")
def test_what_never_arrived_costs_nothing(after: Aftermath) -> None:
    """A call that was refused a connection is on record, and not charged."""
    charged = {(entry["outcome"], entry["usage_source"], entry["cost_microusd"]) for entry in after.at_primary}
    assert charged == {("transient", "none", 0)}


@of("throttled")
def test_throttled(line: Line, after: Aftermath) -> None:
    """A vendor's 429s cost no job anything: all wait as long as it asks, and the primary answers them after."""
    assert after.answered_by == {after.route.primary}
    assert after.reasons == {None}
    throttled = [entry for entry in after.attempts if entry["outcome"] == "throttled"]
    assert {(entry["counted"], entry["retry_after_s"], entry["cost_microusd"]) for entry in throttled} == {
        (False, 1, 0)
    }
    assert after.outcomes == {"throttled": _COUNT, "ok": _COUNT}
    calls = line.vendor.calls(after.route.primary_model)
    last_refused = max(call.at for call in calls if call.status == 429)
    assert min(call.at for call in calls if call.status == 200) > last_refused + 0.9


@of("empty", "blank")
def test_empty_answers(after: Aftermath) -> None:
    """An answer with nothing to read in it is no success: it is asked once more, then the next tier is."""
    assert after.answered_by == {after.route.backup}
    assert after.reasons == {"empty"}
    assert after.outcomes == {"empty": 2 * _COUNT}


@of("truncated")
def test_truncated_accepted(after: Aftermath) -> None:
    """An answer cut at the token limit is delivered and flagged, where the class accepts that."""
    assert after.answered_by == {after.route.primary}
    assert {result["pointsman"]["truncated"] for result in after.results} == {True}
    assert {result["response"]["body"]["choices"][0]["finish_reason"] for result in after.results} == {"length"}
    assert after.outcomes == {"truncated": _COUNT}


@of("cutoff")
def test_truncated_moved(after: Aftermath) -> None:
    """An answer cut at the token limit is not delivered where the class wants whole ones: the next tier is asked."""
    assert after.answered_by == {after.route.backup}
    assert after.reasons == {"truncated"}
    assert {result["pointsman"]["truncated"] for result in after.results} == {False}


@of("refused")
def test_refused(line: Line, after: Aftermath) -> None:
    """A refusal fails the job, with its reason, and no other model is asked behind the vendor's back."""
    assert {(result["response"], result["error"]["code"]) for result in after.results} == {(None, "refused")}
    ends = {(record["state"], record["error_code"], record["attempts"]) for record in after.finals}
    assert ends == {("failed", "refused", 1)}
    assert line.vendor.calls(after.route.backup_model) == []


@of("scolded")
def test_error_inside_success(after: Aftermath) -> None:
    """A 200 with an error inside is an error: the backup answers."""
    assert after.answered_by == {after.route.backup}
    assert after.reasons <= {"transient", "breaker_open"}
    assert set(after.outcomes) == {"transient"}
    assert {entry["http_status"] for entry in after.at_primary} == {200}


@of("severed", "giant", "dripping")
def test_broken_body(after: Aftermath) -> None:
    """A body that breaks off, has no end or takes for ever is no answer.

    It may have been billed, so it is charged at the estimate.
    """
    assert after.answered_by == {after.route.backup}
    assert {(entry["outcome"], entry["usage_source"]) for entry in after.at_primary} == {("transient", "estimate")}
    assert all(entry["cost_microusd"] > 0 for entry in after.at_primary)


def test_rates(line: Line, aftermaths: dict[str, Aftermath]) -> None:
    """`status` and the ledger tell for each tier and class how its calls ended, and agree with the attempts."""
    names = {tier for after in aftermaths.values() for tier in after.route.tiers}
    counted = {
        (tier, name): Counter(str(entry["outcome"]) for entry in after.attempts if entry["tier"] == tier)
        for name, after in aftermaths.items()
        for tier in after.route.tiers
    }
    for told in (line.run("status", "--json").objects, line.run("audit", "rates", "--json").objects):
        rates = {
            (entry["tier"], entry["class"]): entry["outcomes"]
            for entry in told
            if entry.get("kind", "rates") == "rates" and entry["tier"] in names
        }
        assert rates == {place: outcomes for place, outcomes in counted.items() if outcomes}
    assert "EMPTY" in line.run("audit", "rates").out


def test_misrouted(line: Line, routes: dict[str, Route]) -> None:
    """An answer by another model is withheld, the tier takes no more calls until an operator says so, and all tell."""
    route = routes["misrouted"]
    line.vendor.behave(route.primary_model, behaviour="wrong_model", times=1)
    first = line.ask(route.jobs(1, named="withheld"), batch="withheld")
    later = line.ask(route.jobs(3, named="later"), batch="later")
    mismatches = line.audit("--class", route.name, "--mismatch")
    attempts = line.audit("--batch", "withheld", "--kind", "attempt")
    closings = line.audit("--kind", "switch", "--tier", route.primary)
    assert {result["pointsman"]["served"]["tier"] for result in first + later} == {route.backup}
    assert {result["pointsman"]["fallback_reason"] for result in first + later} == {"misrouted"}
    assert len(line.vendor.calls(route.primary_model)) == 1
    assert [record["custom_id"] for record in mismatches] == ["withheld-0000"]
    answered = [(entry["outcome"], entry["response_model"]) for entry in attempts]
    assert answered == [("misrouted", "someone-else"), ("ok", route.backup_model)]
    assert [(entry["action"], entry["reason"]) for entry in closings] == [("close", "misrouted")]
    assert closings[0]["by"].startswith("worker ")
    row = next(row for row in line.run("status", "--json").objects if row.get("tier") == route.primary)
    assert row["state"] == "closed until enabled: misrouted"
    line.run("routes", "enable", route.primary, "--reason", "the vendor apologised")
    reopened = line.ask(route.jobs(2, named="reopened"), batch="reopened")
    assert {result["pointsman"]["served"]["tier"] for result in reopened} == {route.primary}
