"""A rebuilt final record says what the lost one said, as far as anybody can know."""

from dataclasses import replace
from typing import Any

import pytest
from queue_cases import make_lease
from worker_cases import ANSWER, final_of, make_office, make_report

from pointsman_audit.rebuilt_final import rebuild_final
from pointsman_queue import Lease, Remains, Settlement
from pointsman_routes import (
    AcceptedRecord,
    Decision,
    Fail,
    FinalRecord,
    Invalid,
    Ok,
    Succeed,
    Truncated,
    salted_digest,
)
from pointsman_worker.settling import settle_call

_LOST = {"rebuilt", "price_source", "response_digest"}
"""What nobody can know, and what says so."""


def _remains(lease: Lease, settlement: Settlement) -> Remains:
    """What Redis keeps of the job after its settlement."""
    fields = {
        "state": settlement.state or "",
        "tier": lease.tier,
        "class": lease.task_class,
        "batch": lease.batch_id,
        "accepted": str(lease.accepted_at),
        "calls": str(lease.attempt),
        "path": lease.path,
        "barred": ",".join(lease.barred),
        **{name: str(value) for name, value in settlement.job_fields.items()},
    }
    return Remains(fields, settlement.result)


def _accepted(lease: Lease, final: FinalRecord) -> dict[str, Any]:
    record = AcceptedRecord(
        job_id=lease.job_id,
        custom_id=final.custom_id,
        batch_id=lease.batch_id,
        task_class=lease.task_class,
        requested_tier=final.requested_tier,
        prompt_digest=final.prompt_digest,
        policy_digest=final.policy_digest,
    )
    return {**record.model_dump(mode="json"), "accepted_at": lease.accepted_at}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"path": "alpha/main:overloaded", "tier": "beta/main", "attempt": 3, "cost_microusd": 500, "skipped": 1},
        {"path": "alpha/main:misrouted", "barred": frozenset({"alpha/main"}), "tier": "alpha/side", "attempt": 2},
    ],
)
@pytest.mark.parametrize("truncated", [False, True])
def test_answered(changes: dict[str, Any], truncated: bool) -> None:
    """Of an answered job all is the same but the digest of the answer, the price's source, and that it is rebuilt."""
    lease = make_lease(**changes)
    decision = Decision(step=Succeed(answer=ANSWER, truncated=truncated), counted=False)
    outcome = Truncated(answer=ANSWER) if truncated else Ok(answer=ANSWER)
    report = replace(make_report(), outcome=outcome)
    settlement = settle_call(make_office(), lease, report, decision)
    lost = final_of(settlement)
    found = rebuild_final(lease.job_id, _remains(lease, settlement), _accepted(lease, lost))
    assert found is not None
    assert found.model_dump(exclude=_LOST) == lost.model_dump(exclude=_LOST)
    assert (found.rebuilt, found.price_source, found.response_digest) == (True, None, None)


def test_failed() -> None:
    """Of a failed job likewise, its last tier and its error included."""
    lease = make_lease(path="alpha/main:overloaded", tier="beta/main", attempt=2)
    outcome = Invalid(detail="no such field")
    settlement = settle_call(
        make_office(),
        lease,
        make_report(outcome),
        Decision(step=Fail(code="invalid", detail="no such field"), counted=True),
    )
    lost = final_of(settlement)
    found = rebuild_final(lease.job_id, _remains(lease, settlement), _accepted(lease, lost))
    assert found is not None
    assert found.model_dump(exclude=_LOST) == lost.model_dump(exclude=_LOST)


def test_without_result_and_acceptance() -> None:
    """What is not known is None, or called unknown where the contract requires a word; no count is made up."""
    fields = {
        "state": "succeeded",
        "tier": "alpha/main",
        "class": "triage",
        "batch": "b",
        "accepted": "7",
        "calls": "2",
    }
    found = rebuild_final("job", Remains(fields, None), None)
    assert found is not None
    unknown = {found.custom_id, found.requested_tier, found.requested_model, found.policy_digest, found.prompt_digest}
    assert unknown == {"unknown"}
    assert (found.served_tier, found.input_tokens, found.output_tokens, found.cost_microusd) == (None,) * 4
    assert (found.accepted_at, found.attempts, found.path) == (7, 2, ())


@pytest.mark.parametrize("result", [b"\xff", b"{}", b"[]", b'{"id":"another"}'])
def test_result_of_another(result: bytes) -> None:
    """A result line that is none, or another job's, tells nothing."""
    fields = {"state": "failed", "class": "triage", "batch": "b", "accepted": "7"}
    found = rebuild_final("job", Remains(fields, result), None)
    assert found is not None
    assert found.error_code is None


@pytest.mark.parametrize("fields", [{}, {"state": "asleep", "accepted": "7"}, {"state": "failed", "accepted": "soon"}])
def test_no_end(fields: dict[str, str]) -> None:
    """Where not even state and time of acceptance are known there is no record out of thin air."""
    assert rebuild_final("job", Remains(fields, None), None) is None


def test_digest_is_the_acceptance_s() -> None:
    """The prompt's digest is copied from the acceptance; nothing is computed from content."""
    told = {"prompt_digest": salted_digest("s", "text"), "custom_id": "c"}
    found = rebuild_final("job", Remains({"state": "expired", "accepted": "7"}, None), told)
    assert found is not None
    assert found.prompt_digest == told["prompt_digest"]
    assert (found.custom_id, found.task_class, found.batch_id) == ("c", "unknown", "unknown")
