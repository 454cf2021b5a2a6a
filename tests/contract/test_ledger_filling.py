"""A filled ledger is one that the recorder could have written: figures measured on it are figures of a ledger."""

import json

from ledger_filling import fill, first_page_filters
from sqlalchemy import select

from pointsman_audit import GENESIS, Head, Ledger, link
from pointsman_audit.columns import Facet, columns_of
from pointsman_audit.schema import facets, open_attempts, open_jobs, records
from pointsman_routes import RecordKind

COUNT = 4_000


async def test_filled_ledger_is_whole(ledger_url: str) -> None:
    """Records are chained, have the columns of their text, and jobs and calls without an end are the open ones."""
    filled = await fill(ledger_url, COUNT, seed=5)
    async with Ledger.open(ledger_url) as ledger, ledger.reading() as connection:
        rows = (await connection.execute(select(records).order_by(records.c.seq))).all()
        words = {row.id: Facet(*row[2:]) for row in await connection.execute(select(facets))}
        jobs = set((await connection.execute(select(open_jobs.c.seq))).scalars())
        calls = set((await connection.execute(select(open_attempts.c.seq))).scalars())
        end = await ledger.chain_head()
    head = Head(0, GENESIS)
    begun: dict[object, int] = {}
    for row in rows:
        body = json.loads(row.body)
        added = link(head, json.loads(row.body))
        assert (added.seq, added.hash, added.text) == (row.seq, row.record_hash, row.body)
        head = added.head
        assert columns_of(RecordKind(body["kind"]), body) == (words[row.facet_id], *row[2:10])
        call = (row.job_id, body.get("attempt"), body.get("fence"))
        match body["kind"]:
            case "accepted":
                begun[row.job_id] = row.seq
            case "final":
                del begun[row.job_id]
            case "attempt_started":
                begun[call] = row.seq
            case "attempt_finished":
                del begun[call]
    assert head == end
    assert filled.records == len(rows) >= COUNT
    assert set(begun.values()) == jobs | calls
    assert jobs


async def test_questions_find_something(ledger_url: str) -> None:
    """Of the questions for the first page, those find nothing that say so; the rare ones may need a larger ledger."""
    filled = await fill(ledger_url, COUNT, seed=5)
    async with Ledger.open(ledger_url) as ledger:
        found = {name: await ledger.count(wanted) for name, wanted in first_page_filters(filled).items()}
    empty = {name for name, count in found.items() if not count}
    assert {name for name in found if "none" in name or "nobody" in name} <= empty
    assert len(empty) < len(found) / 2
