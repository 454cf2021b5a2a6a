"""Histories of jobs as the ledger would tell them, each with a name; their stories stand in `stories/NAME.txt`.

python -m story_histories    from this folder: writes the stories anew, to be read before they are committed
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audit_records import NOON, SECOND, accepted, entry, final, finished, held, moved, started

from pointsman_audit import GENESIS, Garbage, Head, KnownPolicy, ShownRecord, link
from pointsman_audit.intake import read_entry
from pointsman_audit.listing import as_told
from pointsman_console.job_story import tell_story
from pointsman_routes import (
    ErasureRecord,
    JobState,
    OutcomeKind,
    PathStep,
    QuarantinedRecord,
    Reason,
    ReleasedRecord,
    Wire,
    read_route_table,
)

STORIES = Path(__file__).parent / "stories"
TABLE = read_route_table(
    """
[providers.openai]
kind = "openai"
owner = "ml-platform@example.com"
base_url = "https://eu.api.openai.com/v1"
api_key = { env = "OPENAI_API_KEY" }
region = "eu"
retention_days = 30
[providers.openai.tiers.fast]
model = "gpt-5-mini"
quality = 0.81
[providers.anthropic]
kind = "anthropic"
owner = "research@example.com"
api_key = { env = "ANTHROPIC_API_KEY" }
retention_days = 0
[providers.anthropic.tiers.fast]
model = "claude-haiku-4-5"
quality = 0.78
[providers.ollama]
kind = "ollama"
owner = "operations@example.com"
[providers.ollama.tiers.small]
model = "qwen3"
quality = 0.6
[classes.triage]
route = ["openai/fast", "anthropic/fast", "ollama/small"]
quality_floor = 0.75
allow_below_floor = ["ollama/small"]
max_retention_days = 30
deadline = "1h"
""",
    Path("pointsman.toml"),
)
LATER = TABLE.model_copy(
    update={"classes": {"triage": TABLE.classes["triage"].model_copy(update={"route": ("anthropic/fast",)})}}
)
POLICY, OTHER = TABLE.policy_digest, hashlib.sha256(LATER.model_dump_json().encode()).hexdigest()
POLICIES = {
    POLICY: KnownPolicy(
        digest=POLICY,
        first_seq=1,
        first_at="2026-01-01T11:00:00.000000Z",
        roles=("producer", "worker"),
        by="p1",
        policy=TABLE.policy,
    ),
    OTHER: KnownPolicy(
        digest=OTHER,
        first_seq=40,
        first_at="2026-01-01T12:00:01.000000Z",
        roles=("worker",),
        by="w2",
        policy=None,
    ),
}


class At(NamedTuple):
    """A record, and how many seconds after noon it was written."""

    seconds: float
    record: Wire


_JOB = "5f0c2a9e8d7b4c61"
_ANTHROPIC: dict[str, Any] = {
    "attempt": 2,
    "hop": 1,
    "tier": "anthropic/fast",
    "provider": "anthropic",
    "owner": "research@example.com",
    "model": "claude-haiku-4-5",
    "region": None,
    "fence": 8,
}
_NOTHING: dict[str, Any] = {"response_model": None, "input_tokens": None, "output_tokens": None}
_FREE: dict[str, Any] = {**_NOTHING, "usage_source": "none", "cost_microusd": 0}
_SERVED: dict[str, Any] = {
    "served_tier": "anthropic/fast",
    "served_provider": "anthropic",
    "served_model": "claude-haiku-4-5-20251001",
    "served_region": None,
    "attempts": 2,
}
_NOBODY: dict[str, Any] = {
    "state": JobState.FAILED,
    "served_tier": None,
    "served_provider": None,
    "served_model": None,
    "served_region": None,
    "response_digest": None,
    "input_tokens": None,
    "output_tokens": None,
}


def _accepted(**changes: Any) -> At:
    return At(0, accepted(_JOB, custom_id="t-17", policy_digest=POLICY, **changes))


def _call(began: float, ended: float, **changes: Any) -> tuple[At, At]:
    """A call's two records; what is changed of its identity is changed in both."""
    changes = {"owner": "ml-platform@example.com", "policy_digest": POLICY, "fence": 7, **changes}
    begun = started(_JOB)
    named = {name: value for name, value in changes.items() if name in type(begun).model_fields}
    timed = {"started_at": NOON + round(began * SECOND), "duration_us": round((ended - began) * SECOND) - 1500}
    return At(began, begun.model_copy(update=named)), At(ended, finished(_JOB, **{**timed, **changes}))


def _final(at: float, **changes: Any) -> At:
    return At(at, final(_JOB, custom_id="t-17", **{"policy_digest": POLICY, **changes}))


def _moved(at: float, **changes: Any) -> At:
    return At(at, moved(_JOB, policy_digest=POLICY, **changes))


def _left(reason: str, *more: tuple[str, str]) -> tuple[PathStep, ...]:
    return tuple(PathStep(tier=tier, reason=why) for tier, why in (("openai/fast", reason), *more))


_OVERLOADED = {"outcome": OutcomeKind.OVERLOADED, "http_status": 503, "counted": True, **_FREE}
_ANSWERED = _call(2.5, 3.25, **_ANTHROPIC, response_model="claude-haiku-4-5-20251001", cost_microusd=37)
_TO_OLLAMA: dict[str, Any] = {
    **_ANTHROPIC,
    "hop": 2,
    "tier": "ollama/small",
    "provider": "ollama",
    "owner": "operations@example.com",
    "model": "qwen3",
    "region": "local",
    "response_model": "qwen3",
}

HISTORIES: dict[str, Sequence[At]] = {
    "answered": (
        _accepted(),
        *_call(
            0.004,
            0.812,
            provider_request_id="req_011CS",
            finish_reason="stop",
            cached_input_tokens=8,
            reasoning_tokens=3,
            service_tier="default",
        ),
        _final(0.812),
    ),
    "moved": (
        _accepted(),
        *_call(0.004, 0.3, **_OVERLOADED, retry_after_s=1.5),
        *_call(1.8, 2.4, **_OVERLOADED, attempt=2, fence=8),
        _moved(2.4),
        *_call(2.5, 3.25, **{**_ANTHROPIC, "attempt": 3, "fence": 9}, response_model="claude-haiku-4-5-20251001"),
        _final(
            3.25,
            **{**_SERVED, "attempts": 3},
            fallback_reason=Reason.OVERLOADED,
            path=_left("overloaded", ("anthropic/fast", "ok")),
        ),
    ),
    "held": (
        _accepted(),
        At(
            0.2,
            held(
                _JOB,
                tier="openai/fast",
                waits_for=("openai/fast", "anthropic/fast"),
                reason=Reason.DISABLED,
                policy_digest=POLICY,
            ),
        ),
        At(754.7, ReleasedRecord(job_id=_JOB, task_class="triage", tier="openai/fast", policy_digest=POLICY)),
        *_call(754.75, 756),
        _final(756),
    ),
    "refused": (
        _accepted(),
        *_call(
            0.004,
            0.9,
            outcome=OutcomeKind.REFUSED,
            finish_reason="content_filter",
            counted=True,
            output_tokens=0,
            cost_microusd=3,
        ),
        _final(0.9, **_NOBODY, error_code="refused", cost_microusd=3, path=_left("refused")),
    ),
    "empty_twice": (
        _accepted(),
        *_call(0.004, 0.5, outcome=OutcomeKind.EMPTY, counted=True, output_tokens=0, cost_microusd=3),
        *_call(
            0.51, 1.1, outcome=OutcomeKind.EMPTY, counted=True, output_tokens=0, cost_microusd=3, attempt=2, fence=8
        ),
        _moved(1.1, reason=Reason.EMPTY),
        *_call(2.5, 3.25, **{**_ANTHROPIC, "attempt": 3, "fence": 9}, response_model="claude-haiku-4-5-20251001"),
        _final(
            3.25,
            **{**_SERVED, "attempts": 3},
            fallback_reason=Reason.EMPTY,
            cost_microusd=19,
            path=_left("empty", ("anthropic/fast", "ok")),
        ),
    ),
    "lost_lease": (
        _accepted(),
        *_call(
            0.004,
            15.1,
            outcome=OutcomeKind.UNKNOWN,
            http_status=None,
            response_model=None,
            input_tokens=20,
            output_tokens=512,
            usage_source="estimate",
            cost_microusd=1029,
            duration_us=None,
        ),
        *_call(15.2, 16, attempt=2, fence=8, worker="w2"),
        _final(16, attempts=2, cost_microusd=1042),
    ),
    "cancelled": (
        _accepted(),
        _final(
            9.5,
            **_NOBODY | {"state": JobState.CANCELLED},
            error_code="cancelled",
            attempts=0,
            cost_microusd=0,
            price_source=None,
            path=_left("cancelled"),
        ),
    ),
    "expired": (
        _accepted(),
        *_call(0.004, 0.3, outcome=OutcomeKind.THROTTLED, http_status=429, retry_after_s=7200, **_FREE),
        _final(
            3600, **_NOBODY | {"state": JobState.EXPIRED}, error_code="expired", cost_microusd=0, path=_left("expired")
        ),
    ),
    "downgraded": (
        _accepted(),
        _moved(0.1, reason=Reason.DISABLED, to_tier="ollama/small"),
        *_call(0.2, 1.7, **{**_TO_OLLAMA, "attempt": 1, "fence": 7}, cost_microusd=0),
        _final(
            1.7,
            **{
                **_SERVED,
                "served_tier": "ollama/small",
                "served_provider": "ollama",
                "served_model": "qwen3",
                "served_region": "local",
                "attempts": 1,
            },
            fallback_reason=Reason.DISABLED,
            downgraded=True,
            cost_microusd=0,
            path=_left("disabled", ("ollama/small", "ok")),
        ),
    ),
    "misrouted": (
        _accepted(),
        *_call(
            0.004,
            0.7,
            outcome=OutcomeKind.MISROUTED,
            response_model="gpt-4o-mini",
            response_region="us",
            upstream="azure",
        ),
        _moved(0.7, reason=Reason.MISROUTED),
        *_ANSWERED,
        _final(
            3.25,
            **_SERVED,
            fallback_reason=Reason.MISROUTED,
            mismatch=True,
            cost_microusd=50,
            path=_left("misrouted", ("anthropic/fast", "ok")),
        ),
    ),
    "redriven": (
        _accepted(),
        At(42, accepted(_JOB, custom_id="t-17", policy_digest=POLICY, redriven=True)),
        *_call(42.1, 43),
        _final(43),
    ),
    "rebuilt": (_accepted(), *_call(0.004, 0.8), _final(31, rebuilt=True, cost_microusd=None)),
    "erased": (
        _accepted(),
        *_call(0.004, 0.8),
        _final(0.8),
        At(
            86_400,
            ErasureRecord(
                job_id=_JOB, task_class="triage", scope="subject", erased=True, reason="asked for, ticket 12", by="ops"
            ),
        ),
        At(
            172_800,
            ErasureRecord(job_id=_JOB, task_class="triage", scope="job", erased=False, reason="once more", by="ops"),
        ),
    ),
    "poison": (
        _accepted(),
        *_call(
            0.004,
            15.1,
            outcome=OutcomeKind.UNKNOWN,
            http_status=None,
            **_NOTHING,
            usage_source="estimate",
            cost_microusd=None,
            duration_us=None,
            owner=None,
            hop=99,
        ),
        At(
            15.1,
            QuarantinedRecord(
                job_id=_JOB,
                tier="openai/fast",
                reason="not a job that waits here",
                policy_digest=POLICY,
                raw_digest="a" * 64,
            ),
        ),
        _final(15.2, **_NOBODY, error_code="poison", cost_microusd=1029, path=_left("lease_lost")),
    ),
    "policy_changed": (
        _accepted(),
        *_call(0.004, 0.8, policy_digest=OTHER),
        _final(0.8, policy_digest=OTHER),
    ),
    "waits_in_queue": (_accepted(),),
    "waits_for_call": (_accepted(), _call(0.004, 1)[0]),
    "waits_held": (
        _accepted(),
        At(
            0.2,
            held(
                _JOB, tier="openai/fast", waits_for=("openai/fast",), reason=Reason.BREAKER_OPEN, policy_digest=POLICY
            ),
        ),
    ),
    "waits_moved": (_accepted(), *_call(0.004, 0.3, **_OVERLOADED), _moved(0.3)),
    "waits_throttled": (
        _accepted(),
        *_call(0.004, 0.3, outcome=OutcomeKind.THROTTLED, http_status=429, retry_after_s=20, **_FREE),
    ),
}
_TRIED: dict[str, Any] = {
    "worker": "routes test by ops@desk",
    "owner": "ml-platform@example.com",
    "fence": 0,
    "task_class": "-",
    "policy_digest": POLICY,
}
TRIAL = (
    At(0, started("test-4f1e", **_TRIED)),
    At(1.2, finished("test-4f1e", **_TRIED, duration_us=1_180_000)),
)
OLD = (
    At(0, accepted("j-old", policy_digest="e" * 64)),
    At(0.1, started("j-old", policy_digest="e" * 64)),
    At(0.9, finished("j-old", policy_digest="e" * 64, started_at=NOON + SECOND // 10)),
    At(0.9, final("j-old", policy_digest="e" * 64, prompt_digest="unsalted", response_digest=None)),
)
"""As the version wrote them that knew no owners, batches of calls or durations."""
HISTORIES |= {"trial": TRIAL, "of_an_older_version": OLD}


def shown(history: Sequence[At]) -> list[ShownRecord]:
    """The records as the ledger tells them, numbered from 41."""
    told = []
    for seq, (seconds, record) in enumerate(history, start=41):
        draft = read_entry(entry(record, at=NOON + round(seconds * SECOND)))
        assert not isinstance(draft, Garbage)
        told.append(as_told(seq, link(Head(seq - 1, GENESIS), draft.body).text))
    return told


def story(name: str) -> str:
    """A history's story as text."""
    return "\n".join(tell_story(shown(HISTORIES[name]), POLICIES)) + "\n"


if __name__ == "__main__":
    for title in HISTORIES:
        (STORIES / f"{title}.txt").write_text(story(title), encoding="utf-8")
        sys.stdout.write(f"{title}\n")
