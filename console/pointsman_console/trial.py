"""A trial: one call to a tier, made by a person to see whether it answers."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from pointsman_queue import Outbox, Switchboard
from pointsman_routes import (
    AttemptFinished,
    AttemptStarted,
    Evidence,
    Job,
    Ok,
    OutcomeKind,
    Rate,
    RouteTable,
    ServiceUnavailable,
    Truncated,
    Unknown,
    Usage,
)

if TYPE_CHECKING:
    from pointsman_worker import Report, VendorDesk

NO_CLASS: Final = "-"
"""What stands as the class in a trial's records; no configuration can have one of that name."""
NOT_CALLED: Final = "not called"
"""The outcome of a trial without a call."""
_CHARACTERS_A_TOKEN: Final = 4
_GOOD: Final = frozenset({OutcomeKind.OK, OutcomeKind.TRUNCATED})


UsageSource = Literal["vendor", "estimate", "none"]
_Started = tuple[AttemptStarted, int]
"""A record and its moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of it."""

    tier: str
    report: "Report | None" = None
    """None when no call was made."""
    problem: str | None = None
    """Why none was made, or why its end is not recorded."""
    seconds: float | None = None
    """From the first byte sent to the last one read, connecting included."""
    rate: Rate | None = None
    usage: Usage | None = None
    """As the vendor counted it; where nobody did and it may be billed, the most it can have been."""
    usage_source: UsageSource = "none"
    job_id: str | None = None
    """What its records are found by; None when it is not recorded."""

    @property
    def good(self) -> bool:
        """Whether the tier answered. An answer cut off at the token limit is one: few tokens were asked for."""
        return self.report is not None and self.report.outcome.kind in _GOOD

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        return self.report.outcome.kind.value if self.report is not None else NOT_CALLED

    @property
    def said(self) -> str | None:
        """What the model answered."""
        match self.report.outcome if self.report is not None else None:
            case Ok(answer=answer) | Truncated(answer=answer):
                return answer.content
            case _:
                return None

    @property
    def detail(self) -> str | None:
        """What there is to say about a call that gave no answer."""
        told = getattr(self.report.outcome, "detail", None) if self.report is not None else None
        if self.outcome == OutcomeKind.EMPTY:
            told = "it said nothing; a model that thinks may need more --max-tokens"
        return "; ".join(filter(None, (told, self.problem))) or None

    @property
    def cost_microusd(self) -> int | None:
        """What it cost; None is unknown, and 0 is only what was not billed or is free."""
        if self.report is None:
            return 0
        evidence = self.report.evidence
        if evidence.told_microusd is not None:
            return evidence.told_microusd
        if self.usage_source == "none":
            return 0
        if self.usage_source != "vendor" or self.rate is None or self.usage is None:
            return None
        return self.rate.cost(self.usage, evidence.service_tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBench:
    """Makes trials side by side.

    Where there is a Redis, each is recorded before and after like any other call, and a tier an operator has switched
    off is not called. Trials are no jobs: no limit counts them, and a vendor bills them.

    Weakness: of a trial whose process is killed the records have only the beginning.
    """

    table: RouteTable
    desk: "VendorDesk"
    rates: Mapping[str, Rate]
    """By tier; one whose price is unknown is not among them."""
    by: str
    """Who makes them."""
    unreachable: Mapping[str, str]
    """By tier why it cannot be called, such as a key that cannot be read."""
    outbox: Outbox | None = None
    switchboard: Switchboard | None = None
    """None calls whatever is asked for."""

    async def run(
        self, tiers: Sequence[str], job: Job, *, at_once: int, done: Callable[[Trial], object]
    ) -> list[Trial]:
        """Ask every tier once.

        Args:
            tiers: names of tiers in the table.
            job: what to ask; it has `max_tokens`.
            at_once: most calls in flight.
            done: is told of every trial that has ended.
        """
        room = asyncio.Semaphore(at_once)

        async def one(tier: str) -> Trial:
            async with room:
                trial = await self._try(tier, job)
            done(trial)
            return trial

        return list(await asyncio.gather(*(one(tier) for tier in tiers)))

    async def _try(self, tier: str, job: Job) -> Trial:
        problem = self.unreachable.get(tier)
        try:
            problem = problem or await self._switched_off(tier)
            if problem is not None:
                return Trial(tier=tier, problem=problem)
            started = await self._begin(tier)
        except ServiceUnavailable as outage:
            return Trial(tier=tier, problem=str(outage))
        return await self._call(tier, job, started)

    async def _switched_off(self, tier: str) -> str | None:
        if self.switchboard is None:
            return None
        account = self.table.tiers[tier].provider
        gates = await self.switchboard.gates([tier, account])
        for scope, gate in gates.items():
            if gate.disabled is not None:
                return f"{scope} is disabled by {gate.disabled_by}: {gate.disabled}; --even-disabled calls it"
        return None

    async def _begin(self, tier: str) -> _Started | None:
        if self.outbox is None:
            return None
        provider = self.table.provider_of(tier)
        record = AttemptStarted(
            job_id=f"test-{uuid4().hex[:19]}",
            attempt=1,
            hop=0,
            tier=tier,
            provider=provider.name,
            owner=provider.owner,
            model=self.table.tiers[tier].model,
            region=provider.region,
            worker=f"routes test by {self.by}",
            fence=0,
            task_class=NO_CLASS,
            policy_digest=self.table.policy_digest,
        )
        return record, await self.outbox.append(record)

    async def _call(self, tier: str, job: Job, started: _Started | None) -> Trial:
        begun = time.monotonic()
        try:
            report = await self.desk.ask(tier, job, job.max_tokens or 1)
        except asyncio.CancelledError:
            await self._end(self._trial(tier, job, _interrupted(), time.monotonic() - begun), started)
            raise
        return await self._end(self._trial(tier, job, report, time.monotonic() - begun), started)

    def _trial(self, tier: str, job: Job, report: "Report", seconds: float) -> Trial:
        rate, usage = self.rates.get(tier), report.evidence.usage
        source: UsageSource = "vendor" if usage is not None else "none"
        if usage is None and report.may_be_billed:
            source = "estimate"
            prompt = job.characters // _CHARACTERS_A_TOKEN + 1
            usage = Usage(input_tokens=prompt, output_tokens=job.max_tokens or 1)
        return Trial(tier=tier, report=report, seconds=seconds, rate=rate, usage=usage, usage_source=source)

    async def _end(self, trial: Trial, started: _Started | None) -> Trial:
        if started is None or self.outbox is None or trial.report is None:
            return trial
        try:
            await self.outbox.append(_finished(trial, trial.report, *started))
        except ServiceUnavailable as outage:
            return replace(trial, problem=f"its end is not recorded: {outage}")
        return replace(trial, job_id=started[0].job_id)


def _finished(trial: Trial, report: "Report", started: AttemptStarted, at: int) -> AttemptFinished:
    """The record of a trial that has ended, with all that is known of it under the names records have for it."""
    known = asdict(report.evidence) | (asdict(trial.usage) if trial.usage is not None else {})
    cost, seconds = trial.cost_microusd, trial.seconds if report.called else None
    if cost is None and trial.rate is not None and trial.usage is not None:
        cost = trial.rate.cost(trial.usage, report.evidence.service_tier)
    return AttemptFinished.model_validate(
        {
            **started.model_dump(exclude={"kind"}),
            **{name: value for name, value in known.items() if name in AttemptFinished.model_fields},
            "started_at": at,
            "duration_us": None if seconds is None else round(seconds * 1_000_000),
            "outcome": report.outcome.kind,
            "usage_source": trial.usage_source,
            "cost_microusd": cost,
            "retry_after_s": getattr(report.outcome, "retry_after_s", None),
            "counted": False,
        }
    )


def _interrupted() -> "Report":
    from pointsman_worker import Report  # here, so that checking a route table starts no HTTP library

    return Report(outcome=Unknown(detail="interrupted"), evidence=Evidence())
