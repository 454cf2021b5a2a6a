"""A ledger with its key and checkpoints, notaries of it, and somebody who tampers with it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tampering
from audit_records import accepted
from ledger_copy import BODY, Workplace, batch_of

from pointsman_audit import Head, Ledger, Notary, examine, public_path, read_checkpoints, read_public_keys

NOW = datetime(2026, 1, 2, tzinfo=UTC)
AT = "2026-01-02T00:00:00.000000Z"


class Office:
    """A ledger with its key and checkpoints, notaries of it, and a clock that the test sets."""

    def __init__(self, url: str, folder: Path) -> None:
        self.ledger = Ledger(url)
        self.url = url
        self.key = folder / "office" / "ledger-key.pem"
        self.path = folder / "office" / "checkpoints.jsonl"
        self.now = 1000.0
        self._sources: dict[str, int] = {}
        self._opened = False

    async def notary(self) -> Notary:
        """A notary that begins now."""
        options: dict[str, Any] = {"clock": lambda: NOW, "monotonic": lambda: self.now}
        return await Notary.begin(self.ledger, self.key, self.path, **options)

    async def append(self, count: int, notary: Notary | None = None, *, junk: bool = False) -> Head:
        """Write records in a batch and tell a notary, its recorder's; every recorder has an outbox of its own."""
        source = str(id(notary))
        after = self._sources.get(source, 0)
        records = [accepted(f"job-{number}") for number in range(count)]
        batch = batch_of([b"junk", *records[1:]] if junk else records, after=after, source=source)
        self._sources[source] = after + count
        head = await self.ledger.append(batch)
        assert head is not None
        if notary is not None:
            await notary.committed(batch, head)
        return head

    async def told_keys(self) -> list[dict[str, Any]]:
        """What the ledger says of its own keys."""
        place = Workplace(self.url)
        bodies = [json.loads(row[BODY]) for row in (await place.read()).records]
        await place.close()
        return [body for body in bodies if body["kind"] == "key_change" and body.get("key_id")]

    async def garble(self, seq: int) -> None:
        """Change what a record says and nothing else."""
        place = Workplace(self.url)
        await place.open_to_changes()
        copy = await place.read()
        copy.records[seq - 1][BODY] = _lie(copy.records[seq - 1][BODY])
        await place.put(copy)
        await place.close()

    @property
    def signed(self) -> list[int]:
        """Numbers of the records that were signed, in the order of the file."""
        return [checkpoint.seq for checkpoint in read_checkpoints(self.path).found]

    async def first_bad(self) -> tuple[bool, int | None]:
        """Whether an examination finds the ledger in order, and what it blames."""
        keys = read_public_keys(public_path(self.key))
        verdict = await examine(self.ledger, [read_checkpoints(self.path)], keys)
        return verdict.ok, verdict.first_bad_seq

    async def tamper(self, seq: int, *, rest: bool = True) -> None:
        """Let a record name another predecessor; with `rest` change what it says, and chain all after it anew."""
        place = Workplace(self.url)
        if not self._opened:
            await place.open_to_changes()
        self._opened = True
        copy = await place.read()
        row = copy.records[seq - 1]
        if not rest:
            tampering.reset(row, prev_hash="f" * 64)
        else:
            row[BODY] = _lie(row[BODY])
            tampering.fit_columns(copy, row)
            tampering.relink(copy, seq)
            tampering.right_head(copy)
        await place.put(copy)
        await place.close()


def _lie(text: str) -> str:
    assert "triage" in text
    return text.replace("triage", "treason")
