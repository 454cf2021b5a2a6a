"""What of a class's content a policy lets the ledger keep, and for how long."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

import structlog
from pydantic import TypeAdapter, ValidationError

from pointsman_routes import Acceptance, Duration

from .ledger import Ledger

_MOST_POLICIES = 100
"""Remembered in a process between two batches."""
_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
_MICROSECOND = timedelta(microseconds=1)

log = structlog.get_logger()


class Keeping(NamedTuple):
    """How a class's content is kept."""

    keep_us: int
    """From the job's end, microseconds; 0 keeps none."""
    deadline_us: int
    """The longest a job can take, microseconds."""
    strict: bool
    """What it asks must be in the ledger until its end, so that it survives the loss of Redis."""


class Retention:
    """Looks up how a class's content is kept, under the policy that a record names."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, dict[str, Keeping]] = {}
        self._unknown: set[str] = set()

    def tidy(self) -> None:
        """Forget what was learned, if it is much; call it before a batch, whose policies must all be known together."""
        if len(self._known) >= _MOST_POLICIES:
            self._known.clear()

    def learn(self, digest: str, policy: str) -> None:
        """Take note of a policy that is only just on its way into the ledger."""
        self._known[digest] = read_keeping(policy)
        self._unknown.discard(digest)

    async def load(self, digests: Iterable[str]) -> None:
        """Look up policies that are not known yet, once each; one that the ledger does not have may come later."""
        for digest in set(digests) - self._known.keys():
            policy = await self._ledger.policy(digest)
            if policy is None:
                self._not_known(digest)
            else:
                self.learn(digest, policy)

    def of(self, digest: str, task_class: str) -> Keeping | None:
        """How the class's content is kept; None where the policy, or the class in it, is not known: then nothing is."""
        return self._known.get(digest, {}).get(task_class)

    def _not_known(self, digest: str) -> None:
        if digest in self._unknown:
            return
        if len(self._unknown) >= _MOST_POLICIES:
            self._unknown.clear()
        self._unknown.add(digest)
        log.warning("recorder.policy_unknown", policy_digest=digest)


def read_keeping(policy: str) -> dict[str, Keeping]:
    """How each class's content is kept, by the canonical configuration; a class it does not say it of is left out."""
    try:
        classes: Any = json.loads(policy)["classes"]
        return {name: found for name, entry in classes.items() if (found := _keeping(entry)) is not None}
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return {}


def _keeping(entry: Any) -> Keeping | None:
    try:
        return Keeping(
            keep_us=_DURATION.validate_python(entry["keep_content"]) // _MICROSECOND,
            deadline_us=_DURATION.validate_python(entry["deadline"]) // _MICROSECOND,
            strict=entry["acceptance"] == Acceptance.LEDGER,
        )
    except (ValidationError, KeyError, TypeError):
        return None
