"""Which configurations were in force, and since when."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from pointsman_routes import RecordKind, UsageProblem

from .ledger import Ledger
from .moment import to_iso
from .schema import facets, policies, records

_NAMED = 4
"""Digests that a message names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPolicy:
    """A configuration that the ledger knows of."""

    digest: str
    first_seq: int
    """The record that tells of it first."""
    first_at: str
    """When it came into force."""
    roles: tuple[str, ...]
    """Who has worked by it: `producer`, `worker`."""
    by: str | None
    """The process that came with it first."""
    policy: str | None
    """The canonical configuration; None where the ledger was only told its digest."""


async def known_policies(ledger: Ledger) -> list[KnownPolicy]:
    """Every configuration there is a record of, in the order they came into force."""
    changes = (
        select(records.c.seq, records.c.at, records.c.body)
        .where(records.c.facet_id.in_(select(facets.c.id).where(facets.c.kind == RecordKind.POLICY_CHANGE.value)))
        .order_by(records.c.seq)
    )
    async with ledger.reading() as connection:
        told = (await connection.execute(changes)).all()
        kept = {row.digest: row for row in (await connection.execute(select(policies))).all()}
    found: dict[str, KnownPolicy] = {}
    for seq, at, body in told:
        change = json.loads(body)
        digest = str(change["policy_digest"])
        text = kept[digest].policy if digest in kept else None
        earlier = found.get(digest)
        roles = (*(earlier.roles if earlier else ()), str(change["role"]))
        first = earlier or _first(seq, at, change, text)
        found[digest] = KnownPolicy(
            digest=digest,
            first_seq=first.first_seq,
            first_at=first.first_at,
            roles=tuple(sorted(set(roles))),
            by=first.by,
            policy=text,
        )
    return list(found.values())


async def find_policy(ledger: Ledger, prefix: str) -> KnownPolicy:
    """The one configuration whose digest begins so.

    Raises:
        UsageProblem: if none does, or several do.
    """
    found = [known for known in await known_policies(ledger) if known.digest.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageProblem(f"the ledger knows no policy {prefix!r}; `pointsman audit policy` lists all it knows")
    named = ", ".join(known.digest[:12] for known in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise UsageProblem(f"{len(found)} policies begin with {prefix!r}: {named}{more}; write more digits")


def _first(seq: int, at: int, change: dict[str, Any], text: str | None) -> KnownPolicy:
    return KnownPolicy(
        digest=str(change["policy_digest"]),
        first_seq=seq,
        first_at=to_iso(at),
        roles=(str(change["role"]),),
        by=change.get("by"),
        policy=text,
    )
