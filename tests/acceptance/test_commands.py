"""What every command prints with `--json`: one object a line, and nothing else on standard output."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from acceptance_line import Line
from acceptance_routes import Route
from waiting import wait_until

from pointsman_audit import ATTEMPT_FIELDS, FINAL_FIELDS
from pointsman_routes import job_id_for

pytestmark = pytest.mark.acceptance

_COUNT = 4
_BATCH = "commands"
_FITTING = (
    *("--class", "plain", "--tier", "alpha/plain", "--model", "plain-of-alpha", "--state", "succeeded"),
    *("--since", "1h", "--until", "2101-01-01", "--kind", "final", "--limit", "3"),
)
_FILTERS = {
    _FITTING: 3,
    ("--class", "nonsense"): 0,
    ("--tier", "beta/plain"): 0,
    ("--model", "plain-of-beta"): 0,
    ("--state", "failed"): 0,
    ("--since", "2101-01-01T00:00:00Z"): 0,
    ("--until", "1h"): 0,
    ("--fallback",): 0,
    ("--downgraded",): 0,
    ("--mismatch",): 0,
    ("--kind", "accepted"): _COUNT,
    ("--kind", "moved"): 0,
}
"""Filters of `audit list`, and how many of the jobs below they find."""


@pytest.fixture(scope="module")
def results(line: Line, routes: dict[str, Route]) -> list[dict[str, Any]]:
    """Some jobs that have been answered, and are in the ledger."""
    answered = line.ask(routes["plain"].jobs(_COUNT), batch=_BATCH)
    line.wait_recorded()
    return answered


def test_status(line: Line, routes: dict[str, Route], results: list[dict[str, Any]]) -> None:
    """`status` has an object for each tier, each living worker and recorder, and the line; with a batch, its counts."""
    shown = line.run("status", "--json").objects
    tiers = {entry["tier"]: entry for entry in shown if entry["kind"] == "tier"}
    assert set(tiers) == {tier for route in routes.values() for tier in route.tiers}
    plain = tiers[routes["plain"].primary]
    assert (plain["state"], plain["queued"], plain["in_flight"], plain["held"]) == ("open", 0, 0, 0)
    assert plain["workers"] == 1
    assert len([entry for entry in shown if entry["kind"] == "worker"]) == 1
    assert len([entry for entry in shown if entry["kind"] == "recorder"]) == 1
    counts = {"held", "unrecorded", "recorders", "quarantined", "stranded", "unsigned"}
    assert [set(entry) for entry in shown if entry["kind"] == "line"] == [{"kind", *counts}]
    [batch] = line.run("status", _BATCH, "--json").objects
    assert (batch["batch"], batch["total"], batch["succeeded"], batch["outstanding"]) == (_BATCH, _COUNT, _COUNT, 0)
    assert results


def test_routes(line: Line, routes: dict[str, Route]) -> None:
    """`routes show` and `explain` tell the table in objects, `schema` accepts this configuration, `check` is silent."""
    shown = line.run("routes", "show", "--json").objects
    assert {entry["class"] for entry in shown if entry["kind"] == "class"} == set(routes)
    explained = line.run("routes", "explain", "plain", "--json").objects
    assert [(entry["hop"], entry["tier"], entry["open"]) for entry in explained if entry["kind"] == "tier"] == [
        (0, routes["plain"].primary, "yes"),
        (1, routes["plain"].backup, "yes"),
    ]
    jsonschema.Draft202012Validator.check_schema(json.loads(line.run("routes", "schema").out))
    checked = line.run("routes", "check")
    assert checked.out == ""
    assert "3 providers" in checked.err


@pytest.fixture(scope="module")
def listings(line: Line, results: list[dict[str, Any]]) -> dict[tuple[str, ...], list[dict[str, Any]]]:
    """What `audit list` shows of the jobs above under each filter."""
    assert results

    def listed(filters: tuple[str, ...]) -> list[dict[str, Any]]:
        return line.run("audit", "list", "--json", "--batch", _BATCH, *filters).objects

    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(_FILTERS, pool.map(listed, _FILTERS), strict=True))


@pytest.mark.parametrize("filters", list(_FILTERS), ids=" ".join)
def test_audit_filter(listings: dict[tuple[str, ...], list[dict[str, Any]]], filters: tuple[str, ...]) -> None:
    """Every filter of `audit list` narrows the listing to what it names."""
    assert len(listings[filters]) == _FILTERS[filters]


def test_audit_fields(line: Line, results: list[dict[str, Any]]) -> None:
    """Final and attempt records have the documented fields in the documented order; a job's story begins and ends."""
    finals = line.run("audit", "list", "--json", "--batch", _BATCH).objects
    attempts = line.run("audit", "list", "--json", "--batch", _BATCH, "--kind", "attempt").objects
    assert {tuple(entry) for entry in finals} == {FINAL_FIELDS}
    assert {tuple(entry) for entry in attempts} == {ATTEMPT_FIELDS}
    story = line.run("audit", "show", results[0]["id"], "--json").objects
    assert [entry["kind"] for entry in story] == ["accepted", "attempt_started", "attempt_finished", "final"]
    assert [entry["seq"] for entry in story] == sorted(entry["seq"] for entry in story)


def test_job_shown(line: Line, results: list[dict[str, Any]]) -> None:
    """`jobs show` is one object with where the job stands and its result."""
    [shown] = line.run("jobs", "show", results[0]["id"], "--json").objects
    assert (shown["state"], shown["batch"], shown["attempts"]) == ("succeeded", _BATCH, 1)
    assert shown["result"] == results[0]
    assert datetime.fromisoformat(shown["accepted_at"]) < datetime.now(UTC)


def test_job_called_off_and_asked_again(line: Line, routes: dict[str, Route]) -> None:
    """`jobs cancel` ends a job whose call is under way; `jobs retry` asks it anew, and only what did not succeed."""
    route = routes["called-off"]
    line.vendor.behave(route.primary_model, behaviour="hang")
    submitting = line.start("submit", str(line.job_file(route.jobs(1))), "--batch", "called-off", "--wait")
    line.wait_calls(1, route.primary_model)
    job_id = job_id_for("called-off", "called-off-0000")
    line.run("jobs", "cancel", job_id)
    assert submitting.ended() == 1
    [result] = [json.loads(text) for text in submitting.out.read_text(encoding="utf-8").splitlines()]
    assert (result["id"], result["pointsman"]["state"], result["error"]["code"]) == (job_id, "cancelled", "cancelled")

    line.vendor.behave(route.primary_model)
    new_id = line.run("jobs", "retry", job_id).out.strip()
    assert new_id != job_id
    [shown] = wait_until(
        lambda: [entry for entry in line.run("jobs", "show", new_id, "--json").objects if entry["result"]], "it is done"
    )
    assert shown["state"] == "succeeded"
    refused = line.run("jobs", "retry", new_id, expect=2)
    assert refused.out == ""
    assert "succeeded" in refused.err
    states = {record["job_id"]: record["state"] for record in line.audit("--class", route.name)}
    assert states == {job_id: "cancelled", new_id: "succeeded"}
