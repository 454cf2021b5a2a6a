"""The sequencer: numbers records and chains them. There is one at a time, however many recorders run."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .chain import Head, link
from .columns import Facet
from .errors import LedgerBroken
from .intake import Draft
from .schema import facets, ledger_head, policies, records

_TURN = 0x706F696E74736571
"""The advisory lock of PostgreSQL that whoever appends holds; it spells `pointseq`."""
_IDLE_S = 30
"""Whoever holds the turn and is silent for so long, frozen or cut off from the network, is thrown out by PostgreSQL."""
_TURN_S = 45
"""How long to wait for the turn: longer than a silent one may hold it, and less than a statement may take."""
_TAKE_TURN = text("""
SELECT set_config('lock_timeout', :turn, true), set_config('idle_in_transaction_session_timeout', :idle, true),
       CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END,
       pg_advisory_xact_lock(:lock)""")
"""In this order. The commit waits for the disk, also on a PostgreSQL that is set not to: what is committed is dropped
from Redis. Only where that is off: another setting waits for even more, a standby's disk."""
_MOST_FACETS = 100_000
"""Remembered in a process; a look into the table finds the others."""


class FacetIds:
    """The numbers of facets that are in the ledger, as far as they were met."""

    def __init__(self) -> None:
        self._known: dict[Facet, int] = {}

    async def of(self, connection: AsyncConnection, wanted: Sequence[Facet]) -> Mapping[Facet, int]:
        """The number of each facet; a new one is added to the ledger.

        Call it in the turn of the caller, and `remember` what it gives once that is committed.
        """
        found = {facet: self._known[facet] for facet in wanted if facet in self._known}
        missing = {facet.key: facet for facet in wanted if facet not in found}
        if not missing:
            return found
        query = select(facets.c.id, facets.c.key).where(facets.c.key.in_(list(missing)))
        for row in (await connection.execute(query)).all():
            found[missing.pop(row.key)] = row.id
        if missing:
            last = (await connection.execute(select(facets.c.id).order_by(facets.c.id.desc()).limit(1))).scalar() or 0
            rows = [
                {"id": number, "key": key, **facet._asdict()}
                for number, (key, facet) in enumerate(missing.items(), start=last + 1)
            ]
            await connection.execute(insert(facets), rows)
            found.update((facet, row["id"]) for facet, row in zip(missing.values(), rows, strict=True))
        return found

    def remember(self, found: Mapping[Facet, int]) -> None:
        """Keep numbers that are committed."""
        if len(self._known) > _MOST_FACETS:
            self._known.clear()
        self._known.update(found)


async def wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until nobody else writes. The turn lasts as long as the transaction."""
    if connection.dialect.name == "postgresql":
        # SQLite's writers stand in line from the beginning of their transactions, and are told of the disk once.
        await connection.execute(_TAKE_TURN, {"lock": _TURN, "turn": f"{_TURN_S}s", "idle": f"{_IDLE_S}s"})


async def take_turn(connection: AsyncConnection) -> Head:
    """Wait until nobody else writes, then see where the chain ends.

    Raises:
        LedgerBroken: if the last record is not the one that was appended last. Nothing may be added to such a chain:
            what was cut off would be hidden.
    """
    await wait_for_turn(connection)
    last = select(records.c.seq, records.c.record_hash).order_by(records.c.seq.desc()).limit(1).subquery()
    query = select(ledger_head.c.last_seq, ledger_head.c.last_hash, last.c.seq, last.c.record_hash).outerjoin_from(
        ledger_head, last, last.c.seq.is_not(None)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None or (row.seq or 0) != row.last_seq or (row.record_hash or row.last_hash) != row.last_hash:
        raise LedgerBroken(
            "the ledger's last record is not the one that was written last: it has been changed by somebody else; "
            "nothing more is recorded, see `pointsman audit verify`"
        )
    return Head(row.last_seq, row.last_hash)


async def append(
    connection: AsyncConnection, head: Head, drafts: Sequence[Draft], facet_ids: FacetIds
) -> tuple[Head, Mapping[Facet, int]]:
    """Append records in the caller's turn.

    Returns:
        Where the chain ends now, and the facets' numbers, to be remembered once committed.
    """
    if not drafts:
        return head, {}
    found = await facet_ids.of(connection, list({draft.columns.facet: None for draft in drafts}))
    rows: list[dict[str, Any]] = []
    new_policies: dict[str, dict[str, Any]] = {}
    for draft in drafts:
        added = link(head, draft.body)
        head = added.head
        facet, at, job_id, batch_id, custom_id, tokens_in, tokens_out, cost, duration = draft.columns
        rows.append(
            {
                "seq": added.seq,
                "facet_id": found[facet],
                "at": at,
                "job_id": job_id,
                "batch_id": batch_id,
                "custom_id": custom_id,
                "input_tokens": tokens_in,
                "output_tokens": tokens_out,
                "cost_microusd": cost,
                "duration_us": duration,
                "record_hash": added.hash,
                "body": added.text,
            }
        )
        if draft.policy is not None:
            digest = draft.body["policy_digest"]
            new_policies.setdefault(digest, {"digest": digest, "policy": draft.policy, "first_seq": added.seq})
    await connection.execute(insert(records), rows)
    await _keep_policies(connection, new_policies)
    await connection.execute(update(ledger_head).values(last_seq=head.seq, last_hash=head.hash))
    return head, found


async def _keep_policies(connection: AsyncConnection, new: dict[str, dict[str, Any]]) -> None:
    if not new:
        return
    known = await connection.execute(select(policies.c.digest).where(policies.c.digest.in_(list(new))))
    for digest in known.scalars().all():
        del new[digest]
    if new:
        await connection.execute(insert(policies), list(new.values()))
