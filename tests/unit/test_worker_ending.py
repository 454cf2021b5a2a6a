"""How a job ends: its one final record and its result line, which say the same."""

import hashlib

import pytest
from queue_cases import BACKUP, MAIN, RATE, SALT, SIDE, make_job, make_lease
from worker_cases import (
    ANSWER,
    COST,
    ESTIMATE_COST,
    final_of,
    make_office,
    make_report,
    relocate,
    result_of,
    run,
)

from pointsman_routes import (
    Fail,
    FinalRecord,
    Invalid,
    JobState,
    Misrouted,
    Outcome,
    PathStep,
    Reason,
    Refused,
    Requested,
    Result,
    ResultError,
    Served,
    TokenCount,
    Transient,
    Truncated,
    Unknown,
    Unsupported,
    salted_digest,
)
from pointsman_worker.ending import end, path_steps, path_with


def test_path_is_read_as_it_is_written() -> None:
    """A path grows by one tier with its reason at a time, and is read back in that order."""
    assert path_steps("") == ()
    path = path_with(path_with("", MAIN, "overloaded"), BACKUP, "ok")
    assert path_steps(path) == (PathStep(tier=MAIN, reason="overloaded"), PathStep(tier=BACKUP, reason="ok"))


async def test_answer_at_the_primary() -> None:
    """An answer of the primary: served as requested, nothing left, nothing downgraded, its digest recorded."""
    office, lease = make_office(), make_lease(attempt=2, skipped=1)
    settlement = await run(lease, make_report(), office=office)
    assert (settlement.step, settlement.state) == ("finish", "succeeded")
    assert lease.job is not None
    assert final_of(settlement) == FinalRecord(
        job_id="job-1",
        custom_id="t-1",
        batch_id="batch",
        task_class="triage",
        state=JobState.SUCCEEDED,
        requested_tier=MAIN,
        requested_model="a-large",
        served_tier=MAIN,
        served_provider="alpha",
        served_model="a-large-0613",
        served_region="eu",
        fallback_reason=None,
        path=(PathStep(tier=MAIN, reason="ok"),),
        downgraded=False,
        mismatch=False,
        attempts=1,
        input_tokens=12,
        output_tokens=5,
        cost_microusd=COST,
        price_source=RATE.source,
        accepted_at=lease.accepted_at,
        policy_digest=office.table.policy_digest,
        prompt_digest=salted_digest(SALT, lease.job.asked()),
        response_digest=salted_digest(SALT, ANSWER.content),
        error_code=None,
    )


async def test_digests_tell_nothing_without_the_salt() -> None:
    """The same question and answer have other digests under another salt; none of them is that of the text alone."""
    plain = {hashlib.sha256(text.encode()).hexdigest() for text in (make_job().asked(), ANSWER.canonical())}
    records = [final_of(await run(make_lease(salt=salt), make_report())) for salt in (SALT, SALT, "another")]
    digests = [(record.prompt_digest, record.response_digest) for record in records]
    assert digests[0] == digests[1]
    assert len({*digests[0], *digests[2], *plain}) == 6


async def test_a_job_without_a_salt() -> None:
    """A job that an older version took in is answered; its record has no digest that could be tried out."""
    settlement = await run(make_lease(salt=None), make_report())
    record = final_of(settlement)
    assert (record.state, record.served_tier) == (JobState.SUCCEEDED, MAIN)
    assert (record.prompt_digest, record.response_digest) == ("unsalted", None)
    (expired,) = await relocate(make_lease(salt=None, reason="expired"))
    assert final_of(expired).prompt_digest == "unsalted"


async def test_prompt_digest_of_a_failure() -> None:
    """A job that fails has the digest of its acceptance too, and none of an answer it did not get."""
    lease = make_lease()
    assert lease.job is not None
    record = final_of(await run(lease, make_report(Invalid(detail="bad"))))
    assert (record.prompt_digest, record.response_digest) == (salted_digest(SALT, lease.job.asked()), None)


async def test_result_of_an_answer() -> None:
    """The result line is a chat completion that names the served model, and tells the same story as the record."""
    settlement = await run(make_lease(), make_report())
    result = result_of(settlement)
    assert (result.id, result.custom_id, result.error) == ("job-1", "t-1", None)
    assert result.response is not None
    assert (result.response.status_code, result.response.request_id) == (200, "r-1")
    body = result.response.body
    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-job-1", "chat.completion", "a-large-0613")
    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER.content}, "finish_reason": "stop"}
    ]
    assert body["usage"] == {
        "prompt_tokens": 12,
        "completion_tokens": 5,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    story = result.pointsman
    assert (story.state, story.task_class, story.attempts) == (JobState.SUCCEEDED, "triage", 1)
    assert story.requested == Requested(tier=MAIN, model="a-large")
    assert story.served == Served(tier=MAIN, provider="alpha", model="a-large-0613", region="eu")
    assert story.usage == TokenCount(input_tokens=12, output_tokens=5)
    assert (story.fallback_reason, story.downgraded, story.truncated) == (None, False, False)
    assert story.cost_usd == "0.000064"


async def test_answer_of_a_backup() -> None:
    """An answer of a backup below the floor: why the primary was left, every tier of the path, marked downgraded."""
    lease = make_lease(tier=BACKUP, path=f"{SIDE}:empty,{MAIN}:overloaded,{SIDE}:transient,{MAIN}:refused")
    settlement = await run(lease, make_report())
    record, story = final_of(settlement), result_of(settlement).pointsman
    assert (record.served_tier, record.downgraded, record.fallback_reason) == (BACKUP, True, Reason.OVERLOADED)
    assert (story.downgraded, story.fallback_reason) == (True, Reason.OVERLOADED)
    assert [(step.tier, step.reason) for step in record.path][-1] == (BACKUP, "ok")
    assert len(record.path) == 5


async def test_answer_of_a_good_backup() -> None:
    """A backup at or above the floor is not a downgrade."""
    record = final_of(await run(make_lease(tier=SIDE, path=f"{MAIN}:disabled"), make_report()))
    assert (record.downgraded, record.fallback_reason) == (False, Reason.DISABLED)


async def test_primary_that_took_the_job_back() -> None:
    """A job that was away and is answered by its primary has fallen back to nobody; its path says where it was."""
    lease = make_lease(path=f"{MAIN}:breaker_open,{BACKUP}:rate_limited")
    record = final_of(await run(lease, make_report()))
    assert (record.served_tier, record.fallback_reason) == (MAIN, None)
    assert [step.tier for step in record.path] == [MAIN, BACKUP, MAIN]


@pytest.mark.parametrize("outcome", [Refused(detail="no"), Invalid(detail="bad")], ids=lambda value: value.kind.value)
async def test_failing_at_the_primary_is_not_leaving_it(outcome: Outcome) -> None:
    """A job that fails at its primary was never left it: there is no reason for a fallback that did not happen."""
    settlement = await run(make_lease(), make_report(outcome))
    record = final_of(settlement)
    assert (record.state, record.fallback_reason) == (JobState.FAILED, None)
    assert record.path == (PathStep(tier=MAIN, reason=outcome.kind.value),)
    assert result_of(settlement).pointsman.fallback_reason is None


async def test_a_cost_the_vendor_told() -> None:
    """What the vendor says the call cost is what it cost, and the record says whose figure that is."""
    settlement = await run(make_lease(), make_report(told_microusd=1234))
    assert (final_of(settlement).cost_microusd, final_of(settlement).price_source) == (1234, "vendor")


async def test_failing_at_a_backup() -> None:
    """A job that fails at a backup says why its primary was left, and serves nothing."""
    record = final_of(await run(make_lease(tier=BACKUP, path=f"{MAIN}:exhausted"), make_report(Invalid(detail="bad"))))
    assert record.fallback_reason is Reason.EXHAUSTED
    assert (record.served_tier, record.served_model, record.downgraded, record.response_digest) == (
        None,
        None,
        False,
        None,
    )


async def test_result_of_a_failure() -> None:
    """A job that did not succeed has no response but an error with a code, the same as in its record."""
    settlement = await run(make_lease(), make_report(Invalid(detail="max_tokens is negative")))
    result = result_of(settlement)
    assert settlement.state == "failed"
    assert (result.response, result.pointsman.served, result.pointsman.usage) == (None, None, None)
    assert result.error == ResultError(code="invalid", message="max_tokens is negative")
    assert final_of(settlement).error_code == "invalid"


async def test_failure_has_a_cost() -> None:
    """What failed attempts cost is in the end of the job too."""
    lease = make_lease(attempt=4, failures=3, cost_microusd=1000)
    settlement = await run(lease, make_report(Transient(detail="cut", may_be_billed=True)))
    record = final_of(settlement)
    assert (record.error_code, record.attempts, record.cost_microusd) == ("transient", 4, 1000 + ESTIMATE_COST)
    assert result_of(settlement).pointsman.cost_usd == "0.001820"


async def test_truncated_answer_is_flagged() -> None:
    """An answer stopped at the token limit is delivered with a flag."""
    settlement = await run(make_lease(), make_report(Truncated(answer=ANSWER), response_model="a-large"))
    assert result_of(settlement).pointsman.truncated
    assert final_of(settlement).path == (PathStep(tier=MAIN, reason="truncated"),)


async def test_mismatch() -> None:
    """A job one of whose attempts was answered by another model says so in its end, wherever it ends."""
    served = final_of(
        await run(make_lease(tier=SIDE, path=f"{MAIN}:misrouted", barred=frozenset({MAIN})), make_report())
    )
    assert (served.mismatch, served.state) == (True, JobState.SUCCEEDED)
    office = make_office(route=[MAIN], allow_below_floor=[])
    failed = final_of(await run(make_lease(), make_report(Misrouted(detail="other")), office=office))
    assert (failed.mismatch, failed.state, failed.response_digest) == (True, JobState.FAILED, None)
    assert not final_of(await run(make_lease(), make_report())).mismatch


async def test_vendor_that_names_no_model() -> None:
    """A model the vendor did not name is unknown, never copied from what was asked for."""
    settlement = await run(make_lease(), make_report(response_model=None, usage=None))
    record = final_of(settlement)
    assert (record.served_model, record.input_tokens, record.cost_microusd) == (None, None, ESTIMATE_COST)
    response = result_of(settlement).response
    assert response is not None
    assert response.body["model"] is None
    assert "usage" not in response.body


async def test_end_without_a_call() -> None:
    """A job that ends without a call of its own keeps the calls and the cost it had; no price where none was made."""
    (before,) = await relocate(make_lease(reason="expired", attempt=0))
    assert (final_of(before).attempts, final_of(before).cost_microusd, final_of(before).price_source) == (0, 0, None)
    (after,) = await relocate(make_lease(reason="cancelled", attempt=3, skipped=1, cost_microusd=7))
    record = final_of(after)
    assert (record.attempts, record.cost_microusd, record.price_source) == (2, 7, "config")
    assert [entry.kind.value for entry in after.records] == ["final"]


@pytest.mark.parametrize(
    ("reason", "state", "code"),
    [
        ("expired", JobState.EXPIRED, "expired"),
        ("cancelled", JobState.CANCELLED, "cancelled"),
        ("poison", JobState.FAILED, "poison"),
    ],
)
async def test_states(reason: str, state: JobState, code: str) -> None:
    """An expired and a cancelled job have states of their own; poison is a failure."""
    (settlement,) = await relocate(make_lease(reason=reason, path=f"{MAIN}:overloaded", tier=BACKUP))
    record, result = final_of(settlement), result_of(settlement)
    assert (settlement.step, settlement.state, settlement.called) == ("finish", state.value, False)
    assert (record.state, record.error_code) == (state, code)
    assert record.fallback_reason is Reason.OVERLOADED
    assert record.path[-1] == PathStep(tier=BACKUP, reason=reason)
    assert result.error is not None
    assert result.error.code == code
    assert result.pointsman.state is state


async def test_held_job_ends_where_it_was_left() -> None:
    """A held job that ends has no tier on its path that it was never at."""
    path = f"{MAIN}:exhausted"
    (settlement,) = await relocate(make_lease(reason="expired", tier=SIDE, path=path, held=True))
    record = final_of(settlement)
    assert record.path == (PathStep(tier=MAIN, reason="exhausted"),)
    assert record.fallback_reason is Reason.EXHAUSTED


async def test_unreadable_job() -> None:
    """A job that cannot be read fails with a record that says so, and shows nothing of what was found."""
    report = make_report(Unsupported(detail="not a job"), called=False)
    settlement = await run(make_lease(job=None, salt=None), report)
    record, result = final_of(settlement), result_of(settlement)
    assert (record.state, record.error_code, record.attempts) == (JobState.FAILED, "unreadable", 0)
    assert (record.custom_id, record.prompt_digest) == ("unreadable", "unreadable")
    assert (result.custom_id, result.response) == ("unreadable", None)


def test_class_that_is_gone() -> None:
    """A job of a class the configuration no longer has ends too; what is not known is called unknown."""
    lease = make_lease(task_class="gone", tier="alpha/gone")
    step = Fail(code="unknown_class", detail="gone")
    ending = end(make_office(), lease, step, why="unknown_class", spent=0, made=0)
    assert (ending.record.requested_tier, ending.record.requested_model) == ("alpha/gone", "unknown")
    assert ending.record.price_source is None
    assert Result.model_validate_json(ending.line).error is not None


async def test_answers_are_not_in_records() -> None:
    """No record of a settlement holds the prompt or the answer."""
    settlement = await run(make_lease(), make_report())
    text = "".join(record.model_dump_json() for record in settlement.records)
    assert ANSWER.content not in text
    assert "Which way?" not in text
    assert ANSWER.content in settlement.result.decode()


async def test_lost_worker_is_charged() -> None:
    """A call that nobody can tell the end of is charged at the full estimate, and the job goes on."""
    settlement = await run(make_lease(), make_report(Unknown(detail="lost")))
    assert settlement.step == "release"
    assert settlement.job_fields["cost"] == ESTIMATE_COST
