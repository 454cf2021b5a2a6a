"""The life of a job in a worker: asked, judged and settled, or sent elsewhere without a call."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from queue_cases import BACKUP, MAIN, SIDE, make_job, make_lease
from structlog.testing import capture_logs
from worker_cases import (
    ESTIMATE_COST,
    BoardOf,
    DeskThatHangs,
    ScriptedDesk,
    SettlerThatKeeps,
    SteppedClock,
    final_of,
    finished_of,
    make_office,
    make_report,
    relocate,
    run,
    the,
)

from pointsman_routes import (
    Empty,
    HeldRecord,
    MovedRecord,
    Outcome,
    OutcomeKind,
    Overloaded,
    Reason,
    Throttled,
    Transient,
    Unauthorized,
    Unknown,
    Unsupported,
)
from pointsman_worker import dispatch
from pointsman_worker.dispatch import Dispatcher
from pointsman_worker.office import Office
from pointsman_worker.report import Report

_NOWHERE = frozenset[str]()


def _dispatcher(*reports: Report, written: bool = True, away: int = 0) -> tuple[Dispatcher, ScriptedDesk, BoardOf]:
    desk, board = ScriptedDesk(*reports), BoardOf(away=away)
    return Dispatcher(make_office(), desk, SettlerThatKeeps(written=written), board, jitter=lambda: 0.5), desk, board


async def test_asks_what_the_job_says() -> None:
    """The vendor is asked for the job, with its own answer limit, or that of its class."""
    limited = make_job().model_copy(update={"max_tokens": 7})
    dispatcher, desk, _ = _dispatcher(make_report(), make_report())
    await dispatcher.run(make_lease())
    await dispatcher.run(make_lease(job=limited, tier=BACKUP))
    assert desk.asked == [(MAIN, make_job(), 64), (BACKUP, limited, 7)]


async def test_an_answer_needs_no_board() -> None:
    """Whether other tiers are open is asked only when the job may have to go to one."""
    dispatcher, _, board = _dispatcher(make_report(), make_report(Overloaded(detail="busy")))
    await dispatcher.run(make_lease())
    assert board.asked == []
    await dispatcher.run(make_lease())
    assert [set(tiers) for tiers in board.asked] == [{MAIN, BACKUP, SIDE}]


async def test_tells_whether_it_was_written() -> None:
    """An answer whose lease was lost is discarded, and that is told and logged."""
    dispatcher, _, _ = _dispatcher(make_report(), written=False)
    with capture_logs() as logs:
        assert await dispatcher.run(make_lease()) is False
    assert [(log["event"], log["job_id"], log["fence"]) for log in logs] == [("worker.lease_lost", "job-1", "7")]


async def test_waits_for_redis_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis nothing can be settled either, so judging waits for it."""
    monkeypatch.setattr(dispatch, "_REDIS_RETRY_S", 0)
    dispatcher, _, board = _dispatcher(make_report(Overloaded(detail="busy")), away=3)
    async with asyncio.timeout(5):
        assert await dispatcher.run(make_lease())
    assert len(board.asked) == 4


async def test_unreadable_job_is_not_asked() -> None:
    """A job that cannot be read is taken to no vendor; its attempt is closed, and it fails with a final record."""
    settler, desk = SettlerThatKeeps(), ScriptedDesk()
    await Dispatcher(make_office(), desk, settler, BoardOf()).run(make_lease(job=None))
    (settlement,) = settler.settled
    assert desk.asked == []
    assert (settlement.step, settlement.called) == ("finish", False)
    assert final_of(settlement).error_code == "unreadable"
    assert finished_of(settlement).outcome is OutcomeKind.UNSUPPORTED


async def test_class_that_is_gone() -> None:
    """A job of a class the configuration no longer has fails, and is taken to no vendor."""
    settler, desk = SettlerThatKeeps(), ScriptedDesk()
    await Dispatcher(make_office(), desk, settler, BoardOf()).run(make_lease(task_class="gone"))
    assert desk.asked == []
    assert final_of(settler.settled[0]).error_code == "unknown_class"


async def test_tier_off_the_route() -> None:
    """A job at a tier its class no longer goes to is not called for there; it moves onto the route."""
    settler, desk = SettlerThatKeeps(), ScriptedDesk()
    await Dispatcher(make_office(), desk, settler, BoardOf()).run(make_lease(task_class="solo", tier=SIDE))
    (settlement,) = settler.settled
    assert desk.asked == []
    assert (settlement.step, settlement.to, settlement.called) == ("move", MAIN, False)
    assert the(MovedRecord, settlement).reason is Reason.OFF_ROUTE


async def test_a_call_that_the_deadline_cuts() -> None:
    """A call that is under way at the deadline is cut, recorded as one that may be billed, and timed until then."""
    settler, clock = SettlerThatKeeps(), SteppedClock()
    desk = DeskThatHangs(clock, 2_500)
    lease = make_lease(deadline_ms=make_lease().started_at / 1000 + 20)
    async with asyncio.timeout(5):
        await Dispatcher(make_office(), desk, settler, BoardOf(), clock=clock).run(lease)
    record = finished_of(settler.settled[0])
    assert (record.outcome, record.usage_source, record.duration_us) == (OutcomeKind.TRANSIENT, "estimate", 2_500)


async def test_what_is_not_asked_takes_no_time() -> None:
    """An attempt that ends before its call has no duration, rather than a short one."""
    settler = SettlerThatKeeps()
    await Dispatcher(make_office(), ScriptedDesk(), settler, BoardOf()).run(make_lease(job=None))
    assert finished_of(settler.settled[0]).duration_us is None


async def test_give_back() -> None:
    """A job whose call was cut by the end of the worker goes back: charged, not counted, in its place."""
    settler = SettlerThatKeeps()
    dispatcher = Dispatcher(make_office(), ScriptedDesk(), settler, BoardOf())
    lease = make_lease(failures=1, tries_here=1, recoveries=2)
    assert await dispatcher.give_back(lease, make_report(Unknown(detail="stopped")))
    (settlement,) = settler.settled
    assert (settlement.step, settlement.called, settlement.healthy) == ("release", True, None)
    assert settlement.job_fields == {"cost": ESTIMATE_COST, "skipped": 0}
    assert (finished_of(settlement).outcome, finished_of(settlement).counted) == (OutcomeKind.UNKNOWN, False)


@pytest.mark.parametrize("reason", ["disabled", "breaker_open", "exhausted", "unauthorized", "misrouted"])
async def test_handed_over_by_a_shut_tier(reason: str) -> None:
    """A job of a tier that is shut moves to the next open one, or is held, for the tier's reason."""
    (moved,) = await relocate(make_lease(reason=reason, attempt=2), open_tiers=frozenset({SIDE}))
    assert (moved.step, moved.to, moved.called) == ("move", SIDE, False)
    assert moved.job_fields == {"tries": 0, "path": f"{MAIN}:{reason}"}
    assert the(MovedRecord, moved).reason == reason
    (held,) = await relocate(make_lease(reason=reason), open_tiers=_NOWHERE)
    assert (held.step, held.tiers) == ("hold", (MAIN, BACKUP, SIDE))
    assert the(HeldRecord, held).reason == reason


async def test_handed_over_by_a_shut_tier_of_an_impatient_class() -> None:
    """A class that does not hold its jobs fails them when no tier is left."""
    office = make_office(on_exhausted="fail")
    (settlement,) = await relocate(make_lease(reason="disabled"), open_tiers=_NOWHERE, office=office)
    assert (settlement.step, final_of(settlement).error_code) == ("finish", "no_tier_left")


async def test_waited_too_long() -> None:
    """A job that waited too long for a tier moves to an open one; with none it waits on, without a record."""
    (moved,) = await relocate(make_lease(reason="rate_limited"), open_tiers=frozenset({BACKUP}))
    assert (moved.step, moved.to, the(MovedRecord, moved).reason) == ("move", BACKUP, Reason.RATE_LIMITED)
    for office in (make_office(), make_office(on_exhausted="fail")):
        (stays,) = await relocate(make_lease(reason="rate_limited"), open_tiers=frozenset({MAIN}), office=office)
        assert (stays.step, stays.records, stays.job_fields) == ("release", (), {})


async def test_barred_tiers_are_passed_over() -> None:
    """A tier that cannot do the job is no way out."""
    lease = make_lease(reason="disabled", barred=frozenset({BACKUP}))
    (moved,) = await relocate(lease, open_tiers=frozenset({BACKUP, SIDE}))
    assert moved.to == SIDE
    (held,) = await relocate(lease, open_tiers=frozenset({BACKUP}))
    assert (held.step, held.tiers) == ("hold", (MAIN, SIDE))


async def test_backups_take_jobs_back_to_the_primary() -> None:
    """A job at a shut backup may go back to a primary that has opened again."""
    lease = make_lease(reason="disabled", tier=SIDE, path=f"{MAIN}:overloaded")
    (moved,) = await relocate(lease, open_tiers=frozenset({MAIN}))
    assert (moved.to, moved.job_fields["path"]) == (MAIN, f"{MAIN}:overloaded,{SIDE}:disabled")


@pytest.mark.parametrize(
    ("open_tiers", "barred", "to"),
    [
        ({BACKUP, SIDE}, set(), SIDE),
        ({BACKUP}, set(), BACKUP),
        ({BACKUP, SIDE}, {SIDE}, BACKUP),
    ],
)
async def test_goes_where_it_waits_less(open_tiers: set[str], barred: set[str], to: str) -> None:
    """A job that would wait too long goes to the tier the claim named, if that is open to it; else to the next."""
    lease = make_lease(reason="rate_limited", better=SIDE, barred=frozenset(barred))
    (moved,) = await relocate(lease, open_tiers=frozenset(open_tiers))
    assert (moved.step, moved.to) == ("move", to)
    assert the(MovedRecord, moved).reason is Reason.RATE_LIMITED


async def test_a_better_tier_is_one_of_its_own_route() -> None:
    """A tier that is open, but on the route of another job handed over with it, is no way out."""
    other = make_lease(job_id="other", reason="rate_limited", task_class="solo", better=BACKUP)
    _, stays = await relocate(make_lease(reason="rate_limited"), other)
    assert (stays.lease.job_id, stays.step) == ("other", "release")


async def test_unusable_jobs_that_are_handed_over() -> None:
    """A job that cannot be read, or whose class is gone, fails wherever it is handed over."""
    settlements = await relocate(
        make_lease(reason="disabled", job=None), make_lease(reason="rate_limited", task_class="gone")
    )
    assert [final_of(settlement).error_code for settlement in settlements] == ["unreadable", "unknown_class"]


async def test_endings_come_before_everything() -> None:
    """A job that is called off or expired ends as that, even if it could not be read either."""
    settlements = await relocate(
        make_lease(reason="cancelled", job=None), make_lease(reason="expired", task_class="gone")
    )
    assert [settlement.state for settlement in settlements] == ["cancelled", "expired"]


async def test_handed_over_together() -> None:
    """Jobs handed over in one claim are settled each for itself, and the board is asked once for all their routes."""
    settler, board = SettlerThatKeeps(), BoardOf()
    leases = [make_lease(job_id=f"job-{number}", reason="disabled") for number in range(5)]
    leases.append(make_lease(job_id="solo", reason="disabled", task_class="solo"))
    await Dispatcher(make_office(), ScriptedDesk(), settler, board).relocate(leases)
    assert [settlement.lease.job_id for settlement in settler.settled] == [lease.job_id for lease in leases]
    assert [settlement.step for settlement in settler.settled] == ["move"] * 5 + ["hold"]
    assert len(board.asked) == 1


async def test_poison_after_three_lost_workers() -> None:
    """A call nobody can tell the end of is tried again, until as many workers were lost as make a poison job."""
    again = await run(make_lease(recoveries=1), make_report(Unknown(detail="lost")))
    assert (again.step, finished_of(again).counted) == ("release", False)
    ends = await run(make_lease(recoveries=2), make_report(Unknown(detail="lost")))
    assert (ends.step, final_of(ends).error_code) == ("finish", "poison")


@pytest.mark.parametrize(
    "outcome", [Transient(detail="cut"), Overloaded(detail="busy"), Empty()], ids=lambda value: value.kind.value
)
async def test_gives_up_after_max_attempts(outcome: Outcome) -> None:
    """The last failure a class allows ends the job, with all calls counted."""
    settlement = await run(make_lease(attempt=9, failures=3), make_report(outcome))
    record = final_of(settlement)
    assert (settlement.step, record.error_code, record.attempts) == ("finish", outcome.kind.value, 9)


async def test_waiting_is_not_failing() -> None:
    """However often a job is told to wait, it does not fail of it."""
    settlement = await run(make_lease(attempt=99, failures=3), make_report(Throttled(detail="slow", retry_after_s=1)))
    assert settlement.step == "release"


async def test_closed_tier_is_an_error_in_the_log() -> None:
    """A tier the dispatcher closes is logged as an error, a job that moves is not; neither shows the job's text."""
    dispatcher, _, _ = _dispatcher(make_report(Unsupported(detail="long")), make_report(Unauthorized(detail="key")))
    with capture_logs() as logs:
        await dispatcher.run(make_lease())
        await dispatcher.run(make_lease())
    assert [(log["log_level"], log["tier"], log["job_id"]) for log in logs] == [
        ("info", MAIN, "job-1"),
        ("error", MAIN, "job-1"),
    ]
    assert "Which way?" not in str(logs)


def _unchecked_office(**task_class: Any) -> Office:
    """An office whose table was changed after its check: alpha is in `eu`, beta `local`."""
    office = make_office()
    changed = office.table.classes["triage"].model_copy(update=task_class)
    return replace(office, table=office.table.model_copy(update={"classes": {"triage": changed}}))


@pytest.mark.parametrize(
    ("task_class", "tier", "to"),
    [
        ({"regions": ("local",)}, MAIN, BACKUP),
        ({"regions": ("eu",)}, BACKUP, SIDE),
        ({"allow_below_floor": ()}, BACKUP, SIDE),
        ({"quality_floor": 0.85}, SIDE, MAIN),
        ({"route": (MAIN, "gone/tier", SIDE), "regions": ("eu",)}, BACKUP, MAIN),
    ],
)
async def test_no_request_where_the_class_may_not_go(task_class: dict[str, Any], tier: str, to: str) -> None:
    """A job leased at a tier that may not serve it is not called for there, whoever leased it: it moves on."""
    settler, desk = SettlerThatKeeps(), ScriptedDesk()
    await Dispatcher(_unchecked_office(**task_class), desk, settler, BoardOf()).run(make_lease(tier=tier))
    (settlement,) = settler.settled
    assert desk.asked == []
    assert (settlement.step, settlement.to, settlement.called) == ("move", to, False)
    assert the(MovedRecord, settlement).reason is Reason.OFF_ROUTE
    assert finished_of(settlement).outcome is OutcomeKind.UNSUPPORTED
    assert finished_of(settlement).counted is False


async def test_no_way_leads_to_a_tier_that_is_not_allowed() -> None:
    """After a failed call or a hand-over, a job goes to no tier that may not serve it, and is held for none."""
    office = _unchecked_office(regions=("eu",), route=(MAIN, BACKUP, SIDE))
    (moved,) = await relocate(make_lease(reason="disabled"), office=office)
    assert moved.to == SIDE
    (held,) = await relocate(make_lease(reason="disabled"), open_tiers=frozenset({BACKUP}), office=office)
    assert (held.step, held.tiers) == ("hold", (MAIN, SIDE))
    failed = await run(make_lease(tries_here=1), make_report(Transient(detail="cut")), office=office)
    assert (failed.step, failed.to) == ("move", SIDE)


async def test_a_better_tier_must_be_allowed() -> None:
    """The tier that a claim names as the better one is taken only if it may serve the class."""
    office = _unchecked_office(regions=("eu",))
    (moved,) = await relocate(make_lease(reason="rate_limited", better=BACKUP), office=office)
    assert moved.to == SIDE


async def test_waits_for_no_tier_that_is_not_allowed() -> None:
    """A job does not go on waiting at a tier that may not serve it; where none may, it fails rather than waits."""
    office = _unchecked_office(regions=("local",))
    (held,) = await relocate(make_lease(reason="rate_limited"), open_tiers=frozenset({MAIN}), office=office)
    assert (held.step, held.tiers) == ("hold", (BACKUP,))
    (failed,) = await relocate(make_lease(reason="off_route"), office=_unchecked_office(regions=("mars",)))
    assert (failed.step, final_of(failed).error_code) == ("finish", "off_route")
