"""Lives of jobs as a busy house records them, for ledgers of any size: classes, tiers, fallbacks, rare accidents.

A `Life` is the records of one job without what differs from job to job. A few thousand of them are made from the
contract's models once; every job then lives one of them, which takes microseconds.
"""

import random
from dataclasses import dataclass
from typing import Any, NamedTuple

from audit_records import accepted, final, finished, held, moved, started

from pointsman_audit.columns import time_name
from pointsman_routes import JobState, OutcomeKind, PathStep, Reason, RecordKind, ReleasedRecord, Wire


class Tier(NamedTuple):
    """A tier of the made-up house."""

    model: str
    served_as: str
    owner: str
    region: str


TIERS = {
    "openai/fast": Tier("gpt-5-mini", "gpt-5-mini-2025-08-07", "ml-platform@example.com", "eu"),
    "openai/large": Tier("gpt-5", "gpt-5-2025-08-07", "ml-platform@example.com", "eu"),
    "anthropic/fast": Tier("claude-haiku-4-5", "claude-haiku-4-5-20251001", "ml-platform@example.com", "us"),
    "anthropic/large": Tier("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "research@example.com", "us"),
    "google/flash": Tier("gemini-2.5-flash", "gemini-2.5-flash", "search@example.com", "eu"),
    "groq/fast": Tier("llama-3.3-70b", "llama-3.3-70b", "search@example.com", "us"),
    "ollama/small": Tier("qwen3", "qwen3", "operations@example.com", "local"),
}
ROUTES = {
    "triage": ("openai/fast", "anthropic/fast", "ollama/small"),
    "synthesis": ("anthropic/large", "openai/large"),
    "extraction": ("groq/fast", "openai/fast", "google/flash"),
    "summary": ("google/flash", "anthropic/fast"),
    "translation": ("google/flash", "openai/fast", "anthropic/fast"),
}
_SHARES = (55, 18, 15, 8, 4)
_LAST_RESORT = "ollama/small"
"""Below the floor: its answers are marked downgraded."""
_FAILURES = (
    (OutcomeKind.OVERLOADED, 40, 503),
    (OutcomeKind.TRANSIENT, 30, 500),
    (OutcomeKind.EMPTY, 10, 200),
    (OutcomeKind.UNKNOWN, 8, None),
    (OutcomeKind.REFUSED, 6, 200),
    (OutcomeKind.EXHAUSTED, 3, 429),
    (OutcomeKind.UNSUPPORTED, 2, 404),
    (OutcomeKind.MISROUTED, 1, 200),
)
_STATES = (JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED)
_STATE_SHARES = (80, 15, 5)
OF_OLD, RARE, ENDLESS = 0, 1, 2
"""Lives with a place of their own: of a class that was given up, of one hardly ever asked for, without an end."""
_RARE = {OF_OLD: ("legacy", ROUTES["triage"]), RARE: ("forensics", ("openai/large",))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A record of a life."""

    kind: RecordKind
    after: int
    """Microseconds after the acceptance."""
    time: str
    """What its own time is called."""
    body: dict[str, Any]


Life = tuple[Told, ...]


def lives(chance: random.Random, count: int) -> list[Life]:
    """So many lives of jobs; drawn from evenly they make a realistic mixture.

    Jobs have some 4.2 records. Seven in a hundred leave their primary, one in a hundred does not succeed, a few in a
    thousand wait for a tier, one in ten thousand never ends.
    """
    return [_life(chance, number) for number in range(count)]


@dataclass(kw_only=True)
class _Teller:
    """Writes a life down."""

    told: list[Told]
    now: int = 0

    def tell(self, record: Wire, *, wait: int = 0) -> None:
        """Add a record, some microseconds after the one before."""
        self.now += wait
        kind = RecordKind(record.model_dump()["kind"])
        self.told.append(Told(kind=kind, after=self.now, time=time_name(kind), body=record.model_dump(mode="json")))


def _life(chance: random.Random, number: int) -> Life:
    name = chance.choices(list(ROUTES), _SHARES)[0]
    name, route = _RARE.get(number) or (name, ROUTES[name])
    teller = _Teller(told=[])
    teller.tell(accepted("", task_class=name, requested_tier=route[0]))
    path: list[PathStep] = []
    totals = [0, 0, 0]
    misrouted = False
    for hop, tier in enumerate(route):
        last = hop + 1 == len(route)
        failure, status = _failure(chance, hop)
        if chance.random() < 0.003:
            _wait(chance, teller, name, tier)
        at = {"task_class": name, "hop": hop, "tier": tier, "attempt": hop + 1, "fence": chance.randrange(1, 10**7)}
        _call(chance, teller, at, failure, status, totals)
        misrouted = misrouted or failure is OutcomeKind.MISROUTED
        if failure is None:
            path.append(PathStep(tier=tier, reason="ok"))
            break
        path.append(PathStep(tier=tier, reason=failure.value))
        if last or failure is OutcomeKind.UNKNOWN:
            break
        left = {"task_class": name, "from_tier": tier, "to_tier": route[hop + 1], "reason": _reason(failure)}
        teller.tell(moved("", **left), wait=0)
    if number == ENDLESS:
        return tuple(teller.told[:2])
    teller.tell(_end(chance, name, route, path, totals, mismatch=misrouted), wait=0)
    return tuple(teller.told)


def _failure(chance: random.Random, hop: int) -> tuple[OutcomeKind | None, int | None]:
    if chance.random() > (0.07, 0.12, 0.3)[hop]:
        return None, 200
    kind, _, status = chance.choices(_FAILURES, [share for _, share, _ in _FAILURES])[0]
    return kind, status


def _reason(failure: OutcomeKind) -> Reason:
    return Reason.named(failure.value) or Reason.LEASE_LOST


def _wait(chance: random.Random, teller: _Teller, name: str, tier: str) -> None:
    reason = chance.choice((Reason.BREAKER_OPEN, Reason.DISABLED))
    teller.tell(held("", task_class=name, tier=tier, waits_for=(tier,), reason=reason), wait=20_000)
    let_go = ReleasedRecord(job_id="", task_class=name, tier=tier, policy_digest="")
    teller.tell(let_go, wait=chance.randrange(10**6, 60 * 10**6))


def _call(
    chance: random.Random,
    teller: _Teller,
    at: dict[str, Any],
    failure: OutcomeKind | None,
    status: int | None,
    totals: list[int],
) -> None:
    tier = TIERS[at["tier"]]
    by = {
        **at,
        "provider": at["tier"].partition("/")[0],
        "owner": tier.owner,
        "model": tier.model,
        "region": tier.region,
        "worker": f"w{chance.randrange(8)}",
    }
    teller.tell(started("", **by), wait=chance.randrange(2_000, 40_000_000))
    duration = int(chance.lognormvariate(13.5, 0.8))
    billed = failure in (None, OutcomeKind.EMPTY, OutcomeKind.REFUSED, OutcomeKind.MISROUTED, OutcomeKind.UNKNOWN)
    tokens = (chance.randrange(200, 6000), chance.randrange(5, 900)) if billed else (None, None)
    cost = (tokens[0] + 8 * tokens[1]) // 4 if tokens[0] is not None and tokens[1] is not None else None
    ended = {
        "outcome": failure or OutcomeKind.OK,
        "http_status": status,
        "duration_us": duration if status is not None else None,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "cost_microusd": cost,
        "usage_source": "estimate" if status is None else "vendor" if billed else "none",
        "response_model": tier.served_as if billed else None,
        "counted": failure is not None,
    }
    teller.tell(finished("", **by, **ended), wait=duration)
    for index, value in enumerate((*tokens, cost)):
        totals[index] += value or 0


def _end(
    chance: random.Random, name: str, route: tuple[str, ...], path: list[PathStep], totals: list[int], *, mismatch: bool
) -> Wire:
    answered = path[-1].tier if path[-1].reason == "ok" else None
    state = JobState.SUCCEEDED if answered else chance.choices(_STATES, _STATE_SHARES)[0]
    left = None if path[0].reason == "ok" else _reason(OutcomeKind(path[0].reason))
    served = TIERS[answered] if answered else None
    known = any(totals)
    return final(
        "",
        task_class=name,
        state=state,
        requested_tier=route[0],
        requested_model=TIERS[route[0]].model,
        served_tier=answered,
        served_provider=answered.partition("/")[0] if answered else None,
        served_model=served.served_as if served else None,
        served_region=served.region if served else None,
        fallback_reason=left if len(path) > 1 or not answered else None,
        path=tuple(path),
        downgraded=answered == _LAST_RESORT,
        mismatch=mismatch,
        attempts=len(path),
        input_tokens=totals[0] if known else None,
        output_tokens=totals[1] if known else None,
        cost_microusd=totals[2] if known else None,
        error_code=None if answered else path[-1].reason,
    )
