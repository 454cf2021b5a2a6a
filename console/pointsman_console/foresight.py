"""What follows when a tier of a route fails: found by deciding, over and over, as a worker would."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never

from pointsman_routes import (
    Answer,
    Decision,
    Empty,
    Exhausted,
    Fail,
    Hold,
    Invalid,
    Misrouted,
    Move,
    Outcome,
    Overloaded,
    Reason,
    Refused,
    Standing,
    Step,
    Succeed,
    TaskClass,
    Throttled,
    Transient,
    Truncated,
    Unauthorized,
    Unknown,
    Unsupported,
    Wait,
    decide,
    relocate,
)

_TIMES: Final = 250
"""Times after which a job that goes on is taken to go on for ever; more than `max_attempts` may be."""

Trouble = Callable[[Standing], Decision]
"""What is decided when the tier of a standing has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What follows a trouble that goes on, at one tier or at all of them."""

    steps: tuple[Step, ...]
    """What follows each time the trouble is met; the last ends it, unless it goes on for ever."""

    @property
    def endless(self) -> bool:
        """Whether nothing but the deadline ends it."""
        return len(self.steps) >= _TIMES

    @property
    def last(self) -> Step:
        """What it comes to."""
        return self.steps[-1]

    @property
    def words(self) -> str:
        """Two lines at most: after how many times what happens."""
        if self.endless:
            return "goes round" if any(isinstance(step, Move) for step in self.steps) else "retry here"
        times = len(self.steps)
        return f"{_ordinal(times)} time\n{step_words(self.last)}" if times > 1 else step_words(self.last)

    @property
    def facts(self) -> dict[str, Any]:
        """For a program: what happens the first time, how many times there are, and what then; None is without end."""
        first = step_facts(self.steps[0])
        if self.endless:
            return {"first": first, "times": None, "then": None}
        return {"first": first, "times": len(self.steps), "then": step_facts(self.last)}


def step_words(step: Step) -> str:
    """A step in a few words."""
    match step:
        case Succeed(truncated=truncated):
            return "deliver, flagged" if truncated else "deliver"
        case Fail(code=code):
            return f"fail: {code}"
        case Move(tier=tier):
            return f"-> {tier}"
        case Wait():
            return "retry here"
        case Hold():
            return "hold"
        case _ as never:
            assert_never(never)


def step_facts(step: Step) -> dict[str, Any]:
    """A step for a program."""
    match step:
        case Succeed(truncated=truncated):
            return {"step": "deliver", "flagged": truncated}
        case Fail(code=code):
            return {"step": "fail", "code": code}
        case Move(tier=tier, reason=reason):
            return {"step": "move", "to": tier, "reason": reason.value}
        case Wait(seconds=seconds, reason=reason):
            return {"step": "retry", "after_s": round(seconds, 3), "reason": reason.value}
        case Hold(tiers=tiers, reason=reason):
            return {"step": "hold", "for": list(tiers), "reason": reason.value}
        case _ as never:
            assert_never(never)


def troubles(task_class: TaskClass) -> Mapping[str, Trouble]:
    """Every kind of trouble a tier can have, by name."""
    long = min(task_class.spill_after, task_class.deadline).total_seconds() + 1
    said = ""
    outcomes: dict[str, Outcome] = {
        "overloaded": Overloaded(detail=said),
        "transient": Transient(detail=said),
        "throttled": Throttled(detail=said, retry_after_s=1),
        "throttled for long": Throttled(detail=said, retry_after_s=long),
        "exhausted": Exhausted(detail=said),
        "unauthorized": Unauthorized(detail=said),
        "misrouted": Misrouted(detail=said),
        "unsupported": Unsupported(detail=said),
        "empty": Empty(),
        "truncated": Truncated(answer=Answer(content=said, finish_reason="length")),
        "refused": Refused(detail=said),
        "invalid": Invalid(detail=said),
        "worker lost": Unknown(detail=said),
    }
    return {
        **{name: _after_call(outcome) for name, outcome in outcomes.items()},
        "disabled": _shut(Reason.DISABLED),
        "breaker open": _shut(Reason.BREAKER_OPEN),
    }


def foresee(standing: Standing, trouble: Trouble, *, everywhere: bool = False) -> Foreseen:
    """Let a trouble go on until it drives the job away, or it is clear that it never will.

    Args:
        standing: where the job stands before the first call.
        trouble: what the job meets, time after time.
        everywhere: whether each tier the job moves to has it too; then moving on is not the end.
    """
    steps: list[Step] = []
    while len(steps) < _TIMES:
        decision = trouble(standing)
        steps.append(decision.step)
        if isinstance(decision.step, Succeed | Fail | Hold) or (isinstance(decision.step, Move) and not everywhere):
            break
        standing = _after(standing, decision)
    return Foreseen(steps=tuple(steps))


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _after_call(outcome: Outcome) -> Trouble:
    def trouble(standing: Standing) -> Decision:
        # A call was made, so the tier was open to this job.
        return decide(replace(standing, open_tiers=standing.open_tiers | {standing.tier}), outcome)

    return trouble


def _shut(reason: Reason) -> Trouble:
    def trouble(standing: Standing) -> Decision:
        shut = replace(standing, open_tiers=standing.open_tiers - {standing.tier})
        return Decision(step=relocate(shut, reason))

    return trouble


def _after(standing: Standing, decision: Decision) -> Standing:
    """Where the job stands at its next call."""
    refused = standing.refusals + 1 if decision.throttle_s is not None else 0
    lost = isinstance(decision.step, Wait) and decision.step.reason is Reason.LEASE_LOST
    moved = isinstance(decision.step, Move)
    # A tier that is switched off stays so; one that throttles is as open as before to those who decide.
    shut = decision.closing is not None or (moved and decision.healthy is None and decision.throttle_s is None)
    return replace(
        standing,
        tier=decision.step.tier if isinstance(decision.step, Move) else standing.tier,
        open_tiers=standing.open_tiers - {standing.tier} if shut else standing.open_tiers,
        barred=standing.barred | {standing.tier} if decision.bar else standing.barred,
        failures=standing.failures + decision.counted,
        tries_here=0 if moved else standing.tries_here + decision.counted,
        recoveries=standing.recoveries + lost,
        refusals=0 if moved else refused,
    )
