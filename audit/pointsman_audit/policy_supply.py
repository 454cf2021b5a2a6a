"""Policies that records name and the ledger has never been told of: where their text still comes from.

Whoever works by a policy announces it once, and Redis remembers that it was announced. A ledger that was made anew, or
brought back from an older copy, behind a Redis that has gone on, would never hear of it: it could explain no decision
and keep no content.
"""

from collections.abc import Sequence

import structlog

from pointsman_queue import Outbox
from pointsman_routes import PolicyRecord, RecordKind, RouteTable

from .content_intake import named_policy
from .intake import Draft, Garbage, draft_of
from .ledger import Ledger

_MOST = 1000
"""Digests remembered in a process."""

log = structlog.get_logger()


class PolicySupply:
    """Tells the ledger of the recorder's own policy if records name it, and has others announced once more.

    Weakness: a policy that is not the recorder's comes when a process that works by it starts again.
    """

    def __init__(self, outbox: Outbox, ledger: Ledger, table: RouteTable | None, by: str) -> None:
        """Looks at nothing yet.

        Args:
            outbox: where policies are announced.
            ledger: that is to have them.
            table: the recorder's own configuration, if it has one.
            by: the process, as in `PolicyRecord.by`.
        """
        self._outbox = outbox
        self._ledger = ledger
        self._table = table
        self._by = by
        self._there: set[str] = set()
        self._called_for: set[str] = set()

    async def complete(self, entries: Sequence[Draft | Garbage]) -> tuple[Draft | Garbage, ...]:
        """The entries, behind the text of our own policy where they need it.

        What is told of here is in the ledger once the entries are; until then it is told of again.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer.
        """
        told, needed = self._named(entries)
        more: list[Draft] = []
        for digest, first in needed.items():
            if await self._ledger.policy(digest) is not None:
                _remember(self._there, digest)
            elif self._table is not None and digest == self._table.policy_digest:
                more.append(self._own(self._table, first))
            elif digest not in told:
                await self._call_for(digest)
        return (*more, *entries)

    def _named(self, entries: Sequence[Draft | Garbage]) -> tuple[set[str], dict[str, Draft]]:
        """The policies that come with the entries, and the first record to name each that may be missing."""
        told: set[str] = set()
        needed: dict[str, Draft] = {}
        for entry in entries:
            digest = named_policy(entry) if isinstance(entry, Draft) else None
            if isinstance(entry, Garbage) or digest is None:
                continue
            if entry.policy is not None:
                told.add(digest)
            elif not any(digest in known for known in (told, self._there, self._called_for)):
                needed.setdefault(digest, entry)
        return told, needed

    def _own(self, table: RouteTable, first: Draft) -> Draft:
        """The record of our own policy, with the time of the first one that names it."""
        record = PolicyRecord(
            role="producer" if first.kind is RecordKind.ACCEPTED else "worker",
            policy_digest=table.policy_digest,
            by=self._by,
        )
        log.warning("recorder.policy_supplied", policy_digest=table.policy_digest)
        draft = draft_of(record, first.columns.at)
        del draft.body["policy"]
        return draft._replace(policy=table.policy)

    async def _call_for(self, digest: str) -> None:
        """Let the next process that works by it announce it once more."""
        await self._outbox.forget_announcement(digest)
        _remember(self._called_for, digest)


def _remember(digests: set[str], digest: str) -> None:
    if len(digests) >= _MOST:
        digests.clear()
    digests.add(digest)
