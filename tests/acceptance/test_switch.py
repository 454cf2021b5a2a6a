"""An operator cuts a route in seconds, under load, and the ledger knows who and why."""

import pytest
from acceptance_line import Line, Running, wall_clock
from acceptance_routes import Route
from waiting import wait_until

pytestmark = pytest.mark.acceptance

_SLACK_S = 0.25
"""A call that was claimed before the switch was thrown may still be on its way to the vendor."""


def _submitting(line: Line, route: Route, count: int, batch: str) -> Running:
    return line.start("submit", str(line.job_file(route.jobs(count, named=batch))), "--batch", batch, "--wait")


def test_disabled_under_load(line: Line, routes: dict[str, Route]) -> None:
    """Once `routes disable` has returned no call to the tier begins; its queued jobs end at the backup and say why."""
    route, count = routes["switched"], 200
    line.vendor.behave(route.primary_model, latency_s=0.2)
    submitting = _submitting(line, route, count, "cut")
    line.wait_calls(8, route.primary_model)
    line.run("routes", "disable", route.primary, "--reason", "wrong answers", "--by", "the one on call")
    returned_at = wall_clock()
    assert submitting.ended() == 0
    late = [call for call in line.vendor.calls(route.primary_model) if call.at > returned_at + _SLACK_S]
    assert late == []
    finals = line.audit("--batch", "cut")
    served = {tier: [record for record in finals if record["served_tier"] == tier] for tier in route.tiers}
    assert len(served[route.primary]) + len(served[route.backup]) == len(finals) == count
    assert served[route.primary], "the switch was thrown before a job was answered"
    assert len(served[route.backup]) > count / 4, "the switch was thrown too late to show anything"
    assert {record["fallback_reason"] for record in served[route.primary]} == {None}
    assert {record["fallback_reason"] for record in served[route.backup]} == {"disabled"}

    line.run("routes", "enable", route.primary, "--reason", "they are right again", "--by", "the one on call")
    again = line.ask(route.jobs(4, named="uncut"), batch="uncut")
    assert {result["pointsman"]["served"]["tier"] for result in again} == {route.primary}
    switches = line.audit("--kind", "switch", "--tier", route.primary)
    assert [(entry["action"], entry["reason"], entry["by"]) for entry in switches] == [
        ("disable", "wrong answers", "the one on call"),
        ("enable", "they are right again", "the one on call"),
    ]


def test_everything_disabled(line: Line, routes: dict[str, Route]) -> None:
    """With every tier of its route disabled a job is held, visibly, and goes on when one is enabled."""
    route = routes["held"]
    for tier in route.tiers:
        line.run("routes", "disable", tier, "--reason", "incident 7")
    submitting = _submitting(line, route, 5, "waiting")
    wait_until(lambda: line.held(route.backup) == 5, "all jobs are held")
    shown = line.run("status", "--json").objects
    rows = {row["tier"]: row for row in shown if row["kind"] == "tier" and row["tier"] in route.tiers}
    assert {row["held"] for row in rows.values()} == {5}
    assert all("disabled by " in row["state"] and "incident 7" in row["state"] for row in rows.values())
    assert sum(row["held"] for row in shown if row["kind"] == "line") == 5
    assert line.vendor.calls(route.primary_model, route.backup_model) == []
    assert submitting.alive
    line.run("routes", "enable", route.backup)
    assert submitting.ended() == 0
    assert {record["served_tier"] for record in line.audit("--batch", "waiting", "--fallback")} == {route.backup}
    held = line.audit("--batch", "waiting", "--kind", "held")
    assert {(entry["reason"], tuple(entry["waits_for"])) for entry in held} == {("disabled", route.tiers)}
    line.run("routes", "enable", route.primary)
