"""Histories of jobs as the ledger would tell them, each with a name; their stories stand in `stories/NAME.txt`.

python -m story_histories    from this folder: writes the stories anew, to be read before they are committed
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_records import NOON, SECOND, accepted, final, finished, held, started
from ledger_model import drafted
from story_parts import (
    ANSWERED,
    AT_ANTHROPIC,
    AT_OLLAMA,
    FREE,
    JOB,
    NOBODY,
    NOTHING,
    OTHER,
    OVERLOADED,
    POLICIES,
    POLICY,
    SERVED,
    At,
    called,
    ended,
    taken_in,
    way,
    went_on,
)

from pointsman_audit import GENESIS, Head, ShownRecord, link
from pointsman_audit.listing import as_told
from pointsman_console.job_story import tell_story
from pointsman_routes import ErasureRecord, JobState, OutcomeKind, QuarantinedRecord, Reason, ReleasedRecord

STORIES = Path(__file__).parent / "stories"

HISTORIES: dict[str, Sequence[At]] = {
    "answered": (
        taken_in(),
        *called(
            0.004,
            0.812,
            provider_request_id="req_011CS",
            finish_reason="stop",
            cached_input_tokens=8,
            reasoning_tokens=3,
            service_tier="default",
        ),
        ended(0.812),
    ),
    "moved": (
        taken_in(),
        *called(0.004, 0.3, **OVERLOADED, retry_after_s=1.5),
        *called(1.8, 2.4, **OVERLOADED, attempt=2, fence=8),
        went_on(2.4),
        *called(2.5, 3.25, **{**AT_ANTHROPIC, "attempt": 3, "fence": 9}, response_model="claude-haiku-4-5-20251001"),
        ended(
            3.25,
            **{**SERVED, "attempts": 3},
            fallback_reason=Reason.OVERLOADED,
            path=way("overloaded", ("anthropic/fast", "ok")),
        ),
    ),
    "held": (
        taken_in(),
        At(
            0.2,
            held(
                JOB,
                tier="openai/fast",
                waits_for=("openai/fast", "anthropic/fast"),
                reason=Reason.DISABLED,
                policy_digest=POLICY,
            ),
        ),
        At(754.7, ReleasedRecord(job_id=JOB, task_class="triage", tier="openai/fast", policy_digest=POLICY)),
        *called(754.75, 756),
        ended(756),
    ),
    "refused": (
        taken_in(),
        *called(
            0.004,
            0.9,
            outcome=OutcomeKind.REFUSED,
            finish_reason="content_filter",
            counted=True,
            output_tokens=0,
            cost_microusd=3,
        ),
        ended(0.9, **NOBODY, error_code="refused", cost_microusd=3, path=way("refused")),
    ),
    "empty_twice": (
        taken_in(),
        *called(0.004, 0.5, outcome=OutcomeKind.EMPTY, counted=True, output_tokens=0, cost_microusd=3),
        *called(
            0.51, 1.1, outcome=OutcomeKind.EMPTY, counted=True, output_tokens=0, cost_microusd=3, attempt=2, fence=8
        ),
        went_on(1.1, reason=Reason.EMPTY),
        *called(2.5, 3.25, **{**AT_ANTHROPIC, "attempt": 3, "fence": 9}, response_model="claude-haiku-4-5-20251001"),
        ended(
            3.25,
            **{**SERVED, "attempts": 3},
            fallback_reason=Reason.EMPTY,
            cost_microusd=19,
            path=way("empty", ("anthropic/fast", "ok")),
        ),
    ),
    "lost_lease": (
        taken_in(),
        *called(
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
        *called(15.2, 16, attempt=2, fence=8, worker="w2"),
        ended(16, attempts=2, cost_microusd=1042),
    ),
    "cancelled": (
        taken_in(),
        ended(
            9.5,
            **NOBODY | {"state": JobState.CANCELLED},
            error_code="cancelled",
            attempts=0,
            cost_microusd=0,
            price_source=None,
            path=way("cancelled"),
        ),
    ),
    "expired": (
        taken_in(),
        *called(0.004, 0.3, outcome=OutcomeKind.THROTTLED, http_status=429, retry_after_s=7200, **FREE),
        ended(3600, **NOBODY | {"state": JobState.EXPIRED}, error_code="expired", cost_microusd=0, path=way("expired")),
    ),
    "downgraded": (
        taken_in(),
        went_on(0.1, reason=Reason.DISABLED, to_tier="ollama/small"),
        *called(0.2, 1.7, **{**AT_OLLAMA, "attempt": 1, "fence": 7}, cost_microusd=0),
        ended(
            1.7,
            **{
                **SERVED,
                "served_tier": "ollama/small",
                "served_provider": "ollama",
                "served_model": "qwen3",
                "served_region": "local",
                "attempts": 1,
            },
            fallback_reason=Reason.DISABLED,
            downgraded=True,
            cost_microusd=0,
            path=way("disabled", ("ollama/small", "ok")),
        ),
    ),
    "misrouted": (
        taken_in(),
        *called(
            0.004,
            0.7,
            outcome=OutcomeKind.MISROUTED,
            response_model="gpt-4o-mini",
            response_region="us",
            upstream="azure",
        ),
        went_on(0.7, reason=Reason.MISROUTED),
        *ANSWERED,
        ended(
            3.25,
            **SERVED,
            fallback_reason=Reason.MISROUTED,
            mismatch=True,
            cost_microusd=50,
            path=way("misrouted", ("anthropic/fast", "ok")),
        ),
    ),
    "redriven": (
        taken_in(),
        At(42, accepted(JOB, custom_id="t-17", policy_digest=POLICY, redriven=True)),
        *called(42.1, 43),
        ended(43),
    ),
    "rebuilt": (taken_in(), *called(0.004, 0.8), ended(31, rebuilt=True, cost_microusd=None)),
    "erased": (
        taken_in(),
        *called(0.004, 0.8),
        ended(0.8),
        At(
            86_400,
            ErasureRecord(
                job_id=JOB, task_class="triage", scope="subject", erased=True, reason="asked for, ticket 12", by="ops"
            ),
        ),
        At(
            172_800,
            ErasureRecord(job_id=JOB, task_class="triage", scope="job", erased=False, reason="once more", by="ops"),
        ),
    ),
    "poison": (
        taken_in(),
        *called(
            0.004,
            15.1,
            outcome=OutcomeKind.UNKNOWN,
            http_status=None,
            **NOTHING,
            usage_source="estimate",
            cost_microusd=None,
            duration_us=None,
            owner=None,
            hop=99,
        ),
        At(
            15.1,
            QuarantinedRecord(
                job_id=JOB,
                tier="openai/fast",
                reason="not a job that waits here",
                policy_digest=POLICY,
                raw_digest="a" * 64,
            ),
        ),
        ended(15.2, **NOBODY, error_code="poison", cost_microusd=1029, path=way("lease_lost")),
    ),
    "policy_changed": (
        taken_in(),
        *called(0.004, 0.8, policy_digest=OTHER),
        ended(0.8, policy_digest=OTHER),
    ),
    "waits_in_queue": (taken_in(),),
    "waits_for_call": (taken_in(), called(0.004, 1)[0]),
    "waits_held": (
        taken_in(),
        At(
            0.2,
            held(JOB, tier="openai/fast", waits_for=("openai/fast",), reason=Reason.BREAKER_OPEN, policy_digest=POLICY),
        ),
    ),
    "waits_moved": (taken_in(), *called(0.004, 0.3, **OVERLOADED), went_on(0.3)),
    "waits_throttled": (
        taken_in(),
        *called(0.004, 0.3, outcome=OutcomeKind.THROTTLED, http_status=429, retry_after_s=20, **FREE),
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
        draft = drafted(record, NOON + round(seconds * SECOND))
        told.append(as_told(seq, link(Head(seq - 1, GENESIS), draft.body).text))
    return told


def story(name: str) -> str:
    """A history's story as text."""
    return "\n".join(tell_story(shown(HISTORIES[name]), POLICIES)) + "\n"


if __name__ == "__main__":
    for title in HISTORIES:
        (STORIES / f"{title}.txt").write_text(story(title), encoding="utf-8")
        sys.stdout.write(f"{title}\n")
