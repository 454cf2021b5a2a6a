"""The proof at the end of the demo finds whatever does not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pointsman_console.demo_proof import Exhibits, prove
from pointsman_console.demo_report import DemoReport
from pointsman_console.demo_vendors import VendorCall
from pointsman_routes import Result

_TIERS = {"openai": "openai/fast", "local": "local/house"}
_JOBS: dict[str, tuple[str, str | None, list[str]]] = {
    "plain": ("openai", None, ["throttled", "ok"]),
    "cut": ("openai", None, ["unknown", "ok"]),
    "outage": ("local", "breaker_open", ["ok"]),
    "switch": ("local", "disabled", ["ok"]),
}
"""A job's provider in the end, why the primary was left, and how its attempts at that provider ended."""
_STATUS = {"ok": 200, "throttled": 429, "unknown": 200}


def _final(job_id: str) -> dict[str, Any]:
    provider, reason, outcomes = _JOBS[job_id]
    return {
        "job_id": job_id,
        "task_class": "triage",
        "state": "succeeded",
        "requested_tier": _TIERS["openai"],
        "served_tier": _TIERS[provider],
        "served_model": "m",
        "served_region": "eu",
        "fallback_reason": reason,
        "downgraded": False,
        "attempts": len(outcomes),
        "cost_microusd": 21,
    }


def _result(job_id: str) -> Result:
    told = _final(job_id)
    served = {"tier": told["served_tier"], "provider": _JOBS[job_id][0], "model": "m", "region": "eu"}
    story = {name: told[name] for name in ("state", "fallback_reason", "downgraded", "attempts")}
    asked = {"tier": told["requested_tier"], "model": "m"}
    story |= {"class": told["task_class"], "requested": asked, "served": served, "cost_usd": "0.000021"}
    return Result.model_validate({"id": job_id, "custom_id": job_id, "pointsman": story})


def _attempts(job_id: str) -> list[dict[str, Any]]:
    provider, _, outcomes = _JOBS[job_id]
    return [
        {"job_id": job_id, "provider": provider, "outcome": outcome, "worker": f"w{number}"}
        for number, outcome in enumerate(outcomes)
    ]


def _calls(provider: str) -> list[VendorCall]:
    return [
        VendorCall(prompt=f"ask {job_id}", status=_STATUS[outcome])
        for job_id, (asked, _, outcomes) in _JOBS.items()
        if asked == provider
        for outcome in outcomes
    ]


def _exhibits() -> Exhibits:
    return Exhibits(
        prompts={job_id: f"ask {job_id}" for job_id in _JOBS},
        results=[_result(job_id) for job_id in _JOBS],
        finals=[_final(job_id) for job_id in _JOBS],
        attempts=[attempt for job_id in _JOBS for attempt in _attempts(job_id)],
        calls={provider: _calls(provider) for provider in _TIERS},
        complaints={provider: [] for provider in _TIERS},
        cut=1,
    )


def _failing(exhibits: Exhibits) -> set[str]:
    return {check.name for check in prove(exhibits) if not check.holds}


def _changed(records: Any, job_id: str, **fields: Any) -> list[Any]:
    return [{**record, **fields} if record["job_id"] == job_id else record for record in records]


_TAMPERINGS: dict[str, Callable[[Exhibits], Exhibits]] = {
    "every job has one answer": lambda it: replace(it, results=it.results[1:]),
    "every job has one final record": lambda it: replace(it, finals=[*it.finals, it.finals[0]]),
    "record and result name the same model, reason and cost": lambda it: replace(
        it, finals=_changed(it.finals, "plain", served_model="another")
    ),
    "every request the vendors got has its attempt record": lambda it: replace(
        it, calls={**it.calls, "local": [*it.calls["local"], VendorCall(prompt="ask plain", status=200)]}
    ),
    "every attempt record has its request": lambda it: replace(it, calls={**it.calls, "local": it.calls["local"][1:]}),
    "every attempt has ended": lambda it: replace(it, attempts=_changed(it.attempts, "outage", outcome=None)),
    "no vendor saw a call before its Retry-After was over": lambda it: replace(it, complaints={"local": ["too early"]}),
    "every answer by another than the primary says why": lambda it: replace(
        it, finals=_changed(it.finals, "switch", fallback_reason=None)
    ),
    "a vendor's throttling was met": lambda it: replace(
        it, attempts=[attempt for attempt in it.attempts if attempt["outcome"] != "throttled"]
    ),
    "a vendor's outage was met": lambda it: replace(
        it, finals=_changed(it.finals, "outage", fallback_reason="disabled")
    ),
    "an operator's switch was obeyed": lambda it: replace(
        it, finals=_changed(it.finals, "switch", fallback_reason="overloaded")
    ),
    "calls cut by a kill were made again by another worker": lambda it: replace(
        it, attempts=_changed(it.attempts, "cut", worker="the same")
    ),
}


def test_what_fits_passes() -> None:
    """A run where everything fits fails no check, and every check there is has a tampering below."""
    checks = prove(_exhibits())
    assert [check for check in checks if not check.holds] == []
    assert {check.name for check in checks} == set(_TAMPERINGS)


@pytest.mark.parametrize("name", _TAMPERINGS)
def test_what_does_not_fit_is_found(name: str) -> None:
    """Each check fails when what it is about does not fit, and says what is missing."""
    assert name in _failing(_TAMPERINGS[name](_exhibits()))


def test_cut_call_need_not_have_arrived() -> None:
    """A call whose worker died may have been cut before the vendor saw it; its record says that nobody knows."""
    exhibits = _exhibits()
    seen = [call for call in exhibits.calls["openai"] if call.prompt != "ask cut"]
    once = [*seen, VendorCall(prompt="ask cut", status=200)]
    assert _failing(replace(exhibits, calls={**exhibits.calls, "openai": once})) == set()


def test_missing_names_a_few() -> None:
    """Of many jobs that do not fit a few are named, and their number."""
    check = next(check for check in prove(replace(_exhibits(), finals=[])) if "final record" in check.name)
    assert check.missing == "4 without exactly one final record: plain, cut, outage and 1 more"


def test_figures_add_up() -> None:
    """The figures count what there is, group jobs by who answered and why, and fail with a check."""
    exhibits = _exhibits()
    report = DemoReport(exhibits=exhibits, checks=prove(exhibits), seconds=1.25, home=None)
    figures = report.figures()
    assert figures["ok"]
    assert (figures["jobs"], figures["records"], figures["attempts"], figures["fallbacks"]) == (4, 4, 6, 2)
    assert figures["cost_usd"] == "0.000084"
    assert [(row["served"], row["why"], row["jobs"]) for row in figures["served"]] == [
        ("local/house", "breaker_open", 1),
        ("local/house", "disabled", 1),
        ("openai/fast", None, 2),
    ]
    assert [row["requests"] for row in figures["vendors"]] == [4, 2]
    broken = replace(report, checks=prove(replace(exhibits, results=[])))
    assert not broken.figures()["ok"]


def test_a_call_that_never_began_was_not_cut() -> None:
    """A call that was claimed when its tier was switched off is on record as unknown and unbilled; no kill cut it."""
    exhibits = _exhibits()
    withdrawn = {"job_id": "switch", "provider": "openai", "outcome": "unknown", "worker": "w0", "usage_source": "none"}
    assert _failing(replace(exhibits, attempts=[*exhibits.attempts, withdrawn])) == set()
