"""What histories of jobs are made of: a policy, records of one job and when they were written."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from audit_records import NOON, SECOND, accepted, final, finished, moved, started

from pointsman_audit import KnownPolicy
from pointsman_routes import JobState, OutcomeKind, PathStep, Wire, read_route_table

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


JOB = "5f0c2a9e8d7b4c61"
AT_ANTHROPIC: dict[str, Any] = {
    "attempt": 2,
    "hop": 1,
    "tier": "anthropic/fast",
    "provider": "anthropic",
    "owner": "research@example.com",
    "model": "claude-haiku-4-5",
    "region": None,
    "fence": 8,
}
NOTHING: dict[str, Any] = {"response_model": None, "input_tokens": None, "output_tokens": None}
FREE: dict[str, Any] = {**NOTHING, "usage_source": "none", "cost_microusd": 0}
SERVED: dict[str, Any] = {
    "served_tier": "anthropic/fast",
    "served_provider": "anthropic",
    "served_model": "claude-haiku-4-5-20251001",
    "served_region": None,
    "attempts": 2,
}
NOBODY: dict[str, Any] = {
    "state": JobState.FAILED,
    "served_tier": None,
    "served_provider": None,
    "served_model": None,
    "served_region": None,
    "response_digest": None,
    "input_tokens": None,
    "output_tokens": None,
}


def taken_in(**changes: Any) -> At:
    """The job was accepted, at noon."""
    return At(0, accepted(JOB, custom_id="t-17", policy_digest=POLICY, **changes))


def called(began: float, ended: float, **changes: Any) -> tuple[At, At]:
    """A call's two records; what is changed of its identity is changed in both."""
    changes = {"owner": "ml-platform@example.com", "policy_digest": POLICY, "fence": 7, **changes}
    begun = started(JOB)
    named = {name: value for name, value in changes.items() if name in type(begun).model_fields}
    timed = {"started_at": NOON + round(began * SECOND), "duration_us": round((ended - began) * SECOND) - 1500}
    return At(began, begun.model_copy(update=named)), At(ended, finished(JOB, **{**timed, **changes}))


def ended(at: float, **changes: Any) -> At:
    """The job has ended; its primary answered, unless changed."""
    return At(at, final(JOB, custom_id="t-17", **{"policy_digest": POLICY, **changes}))


def went_on(at: float, **changes: Any) -> At:
    """The job went to another tier."""
    return At(at, moved(JOB, policy_digest=POLICY, **changes))


def way(reason: str, *more: tuple[str, str]) -> tuple[PathStep, ...]:
    """The path of a job that left its primary for a reason."""
    return tuple(PathStep(tier=tier, reason=why) for tier, why in (("openai/fast", reason), *more))


OVERLOADED = {"outcome": OutcomeKind.OVERLOADED, "http_status": 503, "counted": True, **FREE}
ANSWERED = called(2.5, 3.25, **AT_ANTHROPIC, response_model="claude-haiku-4-5-20251001", cost_microusd=37)
AT_OLLAMA: dict[str, Any] = {
    **AT_ANTHROPIC,
    "hop": 2,
    "tier": "ollama/small",
    "provider": "ollama",
    "owner": "operations@example.com",
    "model": "qwen3",
    "region": "local",
    "response_model": "qwen3",
}
