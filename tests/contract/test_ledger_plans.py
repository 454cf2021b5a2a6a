"""Both databases answer the very statements that listings send through an index, without a scan or sort of records."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from ledger_filling import FIRST, Filled, fill, first_page_filters
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from pointsman_audit import GroupKey, Ledger, RecordFilter, record_search

RECORDS = 50_000
BY_FACET, BY_BATCH = "records_by_facet", "records_by_batch"
BY_JOB, BY_CUSTOM_ID = "records_by_job", "records_by_custom_id"
BY_NUMBER = "its number"
"""The primary key."""
NAMES = tuple(first_page_filters(Filled(0, FIRST, FIRST, "", "", "", "")))


class Sent(NamedTuple):
    """A statement that went to the database."""

    text: str
    parameters: Any


class Use(NamedTuple):
    """How a plan reads records."""

    by: str | None
    """An index; None for a scan of the table."""
    ordered: bool
    """Whether they come out in order: nothing sorts them afterwards."""
    timed: bool
    """Whether the index is asked for a stretch of time."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Filled]]:
    """The URL of a ledger with some months in it, and what there is to ask for."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'ledger.db'}"
        yield url, asyncio.run(fill(url, RECORDS, 1))
        return
    server = request.getfixturevalue("postgres_server")
    url = server.create_database("plans")
    yield url, asyncio.run(fill(url, RECORDS, 1))
    server.drop_database("plans")


@pytest.fixture
async def ledger(filled: tuple[str, Filled]) -> AsyncIterator[Ledger]:
    """The ledger."""
    async with Ledger.open(filled[0]) as opened:
        yield opened


async def sent_by(ledger: Ledger, wanted: RecordFilter, keys: tuple[GroupKey, ...] = ()) -> list[Sent]:
    """The statements about records that a listing sends, or a question for groups."""
    sent: list[Sent] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if re.search(r"\brecords\b", statement):
            sent.append(Sent(statement, parameters))

    engine = ledger._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        if keys:
            await ledger.groups(wanted, keys)
        else:
            async for _ in ledger.list(wanted):
                pass
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent


async def uses(connection: AsyncConnection, sent: Sent) -> list[Use]:
    """How the database would read records for a statement."""
    if connection.dialect.name == "sqlite":
        rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sent.text}", sent.parameters)
        return _of_sqlite([row.detail for row in rows])
    plan = (await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {sent.text}", sent.parameters)).scalar_one()
    return list(_of_postgresql((json.loads(plan) if isinstance(plan, str) else plan)[0]))


def _of_sqlite(steps: list[str]) -> list[Use]:
    ordered = not any(step.startswith("USE TEMP B-TREE") for step in steps)
    found = []
    for step in steps:
        # A scan of the queue of a merge, of a list of facets or of the calls in flight is none of records.
        if re.match(r"SCAN records\b", step):
            found.append(Use(None, ordered, timed=False))
        elif re.match(r"SEARCH records\b", step):
            index = re.search(r"INDEX (records_by_\w+)", step)
            found.append(Use(index[1] if index else BY_NUMBER, ordered, timed="AND at" in step))
    return found


def _of_postgresql(plan: Any, *, limited: bool = False) -> Iterator[Use]:
    inner = [plan["Plan"]] if "Plan" in plan else plan.get("Plans", [])
    index = plan.get("Index Name")
    if index is not None and index.startswith("records_"):
        by = BY_NUMBER if index == "records_pkey" else index
        yield Use(by, limited, timed="at" in re.findall(r"\w+", plan.get("Index Cond", "")))
    elif plan.get("Node Type") == "Seq Scan" and plan["Relation Name"] == "records":
        yield Use(None, ordered=limited, timed=False)
    for below in inner:
        yield from _of_postgresql(below, limited=plan.get("Node Type") == "Limit")


def main_index(wanted: RecordFilter) -> str:
    """What the records of a listing are found by."""
    if wanted.job_id is not None or wanted.custom_id is not None:
        return BY_JOB
    return BY_FACET if wanted.batch_id is None else BY_BATCH


async def complaints(connection: AsyncConnection, sent: list[Sent], wanted: RecordFilter) -> list[str]:
    """What is wrong with the plans of a listing's statements; empty if nothing is.

    Pages come from the one index, in order; the few records of a job are sorted afterwards; all else goes by number.
    """
    index = main_index(wanted)
    fine = {index, BY_NUMBER} | ({BY_CUSTOM_ID} if wanted.custom_id is not None else set())
    found: list[str] = []
    for one in sent:
        for use in await uses(connection, one):
            merged = use.by in (BY_FACET, BY_BATCH)
            if use.by not in fine or (merged and not (use.ordered and use.timed)):
                found.append(f"{use}: {one.text}")
    return found


@pytest.mark.parametrize("name", NAMES)
async def test_listing_goes_by_its_index(ledger: Ledger, filled: tuple[str, Filled], name: str) -> None:
    """First page, next page and whole listing of every question go by the index made for it, and nothing is sorted."""
    wanted = first_page_filters(filled[1])[name]
    page = [record async for record in ledger.list(replace(wanted, limit=100))]
    asked = [replace(wanted, limit=100), wanted]
    if page:
        asked.append(replace(wanted, limit=100, before_seq=page[0]["seq"]))
    for each in asked:
        sent = await sent_by(ledger, each)
        async with ledger.reading() as connection:
            assert await complaints(connection, sent, each) == []
            used = {use.by for one in sent for use in await uses(connection, one)}
        assert main_index(each) in used or not page


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (BY_FACET, "failed"),
        (BY_BATCH, "failed of the great batch"),
        (BY_JOB, "job"),
        (BY_CUSTOM_ID, "custom id"),
    ],
)
async def test_missing_index_is_noticed(ledger: Ledger, filled: tuple[str, Filled], index: str, name: str) -> None:
    """Without its index a question's plan is another one: this test's own eyes are open."""
    wanted = replace(first_page_filters(filled[1])[name], limit=100)
    sent = await sent_by(ledger, wanted)
    async with ledger._writer.connect() as connection:
        await connection.exec_driver_sql(f"DROP INDEX {index}")
        try:
            noticed = bool(await complaints(connection, sent, wanted))
        except DBAPIError as problem:
            noticed = f"no such index: {index}" in str(problem.orig)
        await connection.rollback()
        assert noticed
        assert await complaints(connection, sent, wanted) == []


async def test_too_many_facets_to_merge(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are too many facets, a page is read in the order of time until it is full, and nothing is sorted."""
    monkeypatch.setattr(record_search, "MOST_MERGED", 0)
    sent = await sent_by(ledger, RecordFilter(limit=100))
    async with ledger.reading() as connection:
        used = [use for one in sent for use in await uses(connection, one) if use.by != BY_NUMBER]
    assert [(use.by, use.ordered) for use in used] == [("records_by_time", True)]


async def test_groups_of_a_day_do_not_read_all_records(ledger: Ledger, filled: tuple[str, Filled]) -> None:
    """Adding up what happened lately reads the records of that time alone."""
    wanted = RecordFilter(since=filled[1].last - timedelta(days=1))
    sent = await sent_by(ledger, wanted, (GroupKey.CLASS, GroupKey.DAY))
    async with ledger.reading() as connection:
        used = {use.by for one in sent for use in await uses(connection, one)}
    assert used == {BY_FACET, BY_NUMBER}
