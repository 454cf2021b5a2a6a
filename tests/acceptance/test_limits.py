"""Limits as a user meets them: a vendor that asks for a week of silence, figures learned, a job that never fits."""

import pytest
from acceptance_line import Line
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance

_WEEK_S = 7 * 86_400


def _row(line: Line, tier: str) -> dict[str, object]:
    shown = line.run("status", "--json").objects
    return next(row for row in shown if row.get("tier") == tier)


def test_closed_for_a_week(line: Line, routes: dict[str, Route]) -> None:
    """A Retry-After of a week sends all its jobs to the backup at once, is shown, and ends with `routes enable`."""
    route = routes["waiting"]
    line.vendor.behave(route.primary_model, status=429, headers={"retry-after": str(_WEEK_S)})
    results = line.ask(route.jobs(30, named="week"), batch="week")
    assert {result["pointsman"]["served"]["tier"] for result in results} == {route.backup}
    assert {result["pointsman"]["fallback_reason"] for result in results} == {"rate_limited"}
    assert "throttled for 6" in str(_row(line, route.primary)["state"])
    line.vendor.behave(route.primary_model)
    line.run("routes", "enable", route.primary, "--reason", "they called")
    again = line.ask(route.jobs(2, named="after"), batch="after")
    assert {result["pointsman"]["served"]["tier"] for result in again} == {route.primary}


def test_learned_from_headers(line: Line, routes: dict[str, Route]) -> None:
    """What a vendor says of its limits is in `status`, and holds although nothing of it is configured."""
    route = routes["limited"]
    told = {"limit": "6000", "remaining": "5900", "reset": "1s"}
    headers = {f"x-ratelimit-{name}-requests": value for name, value in told.items()}
    line.vendor.behave(route.primary_model, headers=headers)
    line.ask(route.jobs(10, named="told"), batch="told")
    row = _row(line, route.primary)
    assert row["learned"] == {"rpm": {"limit": 6000, "from": "vendor", "refills": True}}
    assert row["drain_s"] == 0
    line.vendor.behave(route.primary_model)


def test_never_fits(line: Line, routes: dict[str, Route]) -> None:
    """A job larger than its tier's minute is refused with its line before anything is submitted."""
    route = routes["narrow"]
    jobs = route.jobs(3, named="narrow")
    jobs[1]["body"]["messages"][0]["content"] = "x" * 8000
    done = line.run("submit", str(line.job_file(jobs)), "--batch", "narrow", expect=2)
    assert "line 2" in done.err
    assert "the prompt has at least 1,000 tokens" in done.err
    assert line.audit("--batch", "narrow", "--kind", "accepted") == []
