"""A ledger of the first version becomes one of today's: chained, numbered and counted as it was, or left as it is."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from ledger_of_old import LATE, make_old, old_bodies, old_row, written
from sqlalchemy import text

from pointsman_audit import Ledger, LedgerBroken, LedgerNotMigrated, ListedKind, Migration, RecordFilter, examine
from pointsman_audit.columns import Facet, columns_of
from pointsman_console.main import app
from pointsman_routes import RecordKind, UsageProblem

OLDEST, NEWEST = "0001", "0002"
GENESIS = "0" * 64
BODIES = old_bodies(7, jobs=200)


async def migrated(url: str, bodies: list[dict[str, Any]]) -> Migration:
    """Make an old ledger and migrate it."""
    await make_old(url, bodies)
    return await migrate(url)


async def migrate(url: str) -> Migration:
    """Migrate a ledger."""
    ledger = Ledger(url)
    try:
        return await ledger.migrate()
    finally:
        await ledger.close()


async def rows(url: str, query: str) -> list[dict[str, Any]]:
    """What is in a ledger's database."""
    async with written(url) as connection:
        return [dict(row) for row in (await connection.execute(text(query))).mappings()]


async def dump(url: str) -> dict[str, Any]:
    """All that is in a database of version 0001."""
    tables = ("ledger_version", "records", "answers", "ledger_head", "outbox_cursor", "quarantine")
    return {table: await rows(url, f"SELECT * FROM {table} ORDER BY 1") for table in tables}


async def test_old_ledger_is_chained(ledger_url: str) -> None:
    """Every old record keeps its number and its words and is chained: seen with nothing but json and hashlib."""
    done = await migrated(ledger_url, BODIES)
    assert done == Migration(OLDEST, NEWEST, len(BODIES), ())
    last = GENESIS
    found = await rows(ledger_url, "SELECT seq, record_hash, body FROM records ORDER BY seq")
    assert len(found) == len(BODIES)
    for seq, (row, old) in enumerate(zip(found, BODIES, strict=True), start=1):
        body = json.loads(row["body"])
        assert row["seq"] == seq
        assert body == {**old, "seq": seq, "prev_hash": last}
        assert row["body"] == json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        last = hashlib.sha256(row["body"].encode()).hexdigest()
        assert row["record_hash"] == last
    head = (await rows(ledger_url, "SELECT * FROM ledger_head"))[0]
    assert (head["last_seq"], head["last_hash"]) == (len(BODIES), last)


async def test_old_records_are_found_as_new_ones(ledger_url: str) -> None:
    """The columns and facets of old records are those that today's recorder makes of them."""
    await migrated(ledger_url, BODIES)
    known = {row.pop("id"): row for row in await rows(ledger_url, "SELECT * FROM facets")}
    for row in await rows(ledger_url, "SELECT * FROM records ORDER BY seq"):
        body = json.loads(row["body"])
        columns = columns_of(RecordKind(body["kind"]), body)
        facet = dict(known[row["facet_id"]])
        assert facet.pop("key") == columns.facet.key
        assert Facet(**facet) == columns.facet
        assert [row[name] for name in columns._fields[1:]] == list(columns[1:])
    assert len({facet["key"] for facet in known.values()}) == len(known)
    async with Ledger.open(ledger_url) as ledger:
        counts = [await ledger.count(RecordFilter(kind=kind)) for kind in (ListedKind.FINAL, ListedKind.ACCEPTED)]
        assert (await examine(ledger, [], [])).ok
    assert counts == [sum(body["kind"] == kind for body in BODIES) for kind in ("final", "accepted")]


async def test_work_under_way_is_known(ledger_url: str) -> None:
    """Jobs and calls without an end are listed as the recorder would have listed them; one taken in again is open."""
    again = next(body for body in BODIES if body["kind"] == "accepted" and ended(BODIES, body["job_id"]))
    bodies = [*BODIES, {**again, "accepted_at": 5}, {**again, "accepted_at": 6}]
    await migrated(ledger_url, bodies)
    jobs: dict[str, tuple[str, int, int]] = {}
    calls: dict[Any, int] = {}
    for seq, body in enumerate(bodies, start=1):
        if body["kind"] == "accepted":
            jobs.setdefault(body["job_id"], (body["job_id"], seq, body["accepted_at"]))
        if body["kind"] == "final":
            jobs.pop(body["job_id"], None)
        call = (body.get("job_id"), body.get("attempt"), body.get("fence"))
        if body["kind"] == "attempt_started":
            calls[call] = seq
        if body["kind"] == "attempt_finished":
            calls.pop(call, None)
    assert again["job_id"] in jobs
    assert len(jobs) > 10
    assert len(calls) > 10
    found = await rows(ledger_url, "SELECT * FROM open_jobs")
    assert {(row["job_id"], row["seq"], row["at"]) for row in found} == set(jobs.values())
    found = await rows(ledger_url, "SELECT * FROM open_attempts")
    assert {(row["job_id"], row["attempt"], row["fence"]): row["seq"] for row in found} == calls


def ended(bodies: list[dict[str, Any]], job_id: str) -> bool:
    """Whether a job has a final record."""
    return any(body["kind"] == "final" and body["job_id"] == job_id for body in bodies)


async def test_answers_are_kept(ledger_url: str) -> None:
    """Answers are where content is now, of the right class, and end when they were to end; cursors stay."""
    await migrated(ledger_url, BODIES)
    succeeded = {body["job_id"]: body for body in BODIES if body.get("state") == "succeeded"}
    found = await rows(ledger_url, "SELECT * FROM content")
    assert len(succeeded) > 10
    assert {row["job_id"] for row in found} == set(succeeded)
    for row in found:
        job = succeeded[row["job_id"]]
        assert row["answer"] == f"answer of {row['job_id']}"
        assert row["task_class"] == job["task_class"]
        assert (row["stored_at"], row["expires_at"]) == (job["finished_at"], LATE)
        assert row["salt"] is row["job"] is row["subject"] is None
    async with Ledger.open(ledger_url) as ledger:
        assert await ledger.cursor("outbox") == "7-0"


ODD: list[tuple[dict[str, Any], str | None]] = [
    ({"retry_after_s": 0.1 + 0.2}, None),
    ({"retry_after_s": 1e300}, None),
    ({"retry_after_s": 20.0}, None),
    ({"naïve": "Ω", "\U0001f642": 1, "\uffff": 2}, None),
    ({"worker": "zero \0 byte"}, None),
    ({"input_tokens": 2**53 - 1}, None),
    ({"extra": [1, {"deep": [None, True]}]}, None),
    ({"seq": 99, "prev_hash": "somebody else's"}, None),
    ({"extra": 2**53}, "a number is too large"),
    ({"extra": [{"deep": -(2**64)}]}, "a number is too large"),
    ({"input_tokens": 2**63 - 1}, "input_tokens is no whole number"),
    ({"region": 5}, "region is no text"),
    ({"provider": "p" * 2000}, "provider is too long"),
]


@pytest.mark.parametrize(("odd", "reason"), ODD, ids=lambda value: str(value)[:40])
async def test_odd_record(ledger_url: str, odd: dict[str, Any], reason: str | None) -> None:
    """Whatever the recorder of old let in is in the chain afterwards, or put aside whole: nothing stops a migration."""
    calls = [body for body in BODIES if body["kind"] == "attempt_finished"][:3]
    bodies = [calls[0], {**calls[1], **odd}, calls[2]]
    done = await migrated(ledger_url, bodies)
    assert done == Migration(OLDEST, NEWEST, 3, () if reason is None else (2,))
    async with Ledger.open(ledger_url) as ledger:
        verdict = await examine(ledger, [], [])
    assert verdict.ok, verdict.findings
    body = json.loads((await rows(ledger_url, "SELECT body FROM records WHERE seq = 2"))[0]["body"])
    aside = await rows(ledger_url, "SELECT source, entry_id, at, reason, raw FROM quarantine")
    if reason is None:
        own = {"seq": 2, "prev_hash": body["prev_hash"]}
        assert body == {**bodies[1], **own}
        assert aside == []
        return
    raw = old_row(2, bodies[1])["body"]
    told = {"source": "schema 0001", "entry_id": "2", "at": calls[1]["finished_at"], "reason": reason}
    assert aside == [{**told, "raw": raw}]
    digest = hashlib.sha256(raw.encode()).hexdigest()
    own = {"seq": 2, "prev_hash": body["prev_hash"], "job_id": calls[1]["job_id"], "raw_digest": digest}
    assert body == {"kind": "quarantined", **told, **own}


async def test_what_was_put_aside_has_happened(ledger_url: str) -> None:
    """A job whose final record was put aside is not under way."""
    start = next(body for body in BODIES if body["kind"] == "accepted" and ended(BODIES, body["job_id"]))
    end = next(body for body in BODIES if body["kind"] == "final" and body["job_id"] == start["job_id"])
    done = await migrated(ledger_url, [start, {**end, "extra": 2**60}])
    assert done.put_aside == (2,)
    assert await rows(ledger_url, "SELECT * FROM open_jobs") == []


TAMPERINGS: dict[str, tuple[str, int]] = {
    "a record is missing": ("DELETE FROM records WHERE seq = 5", 5),
    "the first is missing": ("DELETE FROM records WHERE seq = 1", 1),
    "the end is missing": ("DELETE FROM records WHERE seq > 1500 OR seq = 1500", 0),
    "one was added": ("UPDATE ledger_head SET last_seq = last_seq - 1", 0),
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_broken_ledger_is_not_migrated(ledger_url: str, name: str) -> None:
    """A ledger whose records are not those that were written is refused, and left as it is."""
    statement, seq = TAMPERINGS[name]
    bodies = (BODIES * 3)[:1500]
    await make_old(ledger_url, bodies)
    async with written(ledger_url) as connection:
        await connection.execute(text(statement))
    before = await dump(ledger_url)
    with pytest.raises(LedgerBroken, match=f"record {seq or 1500}" if seq else "somebody else has changed") as refused:
        await migrate(ledger_url)
    assert "\n" not in str(refused.value)
    assert await dump(ledger_url) == before


async def test_all_or_nothing(ledger_url: str) -> None:
    """A migration that dies in the middle leaves the ledger as it was, and can be begun again."""
    bodies = (BODIES * 3)[:2500]
    await make_old(ledger_url, bodies)
    before = await dump(ledger_url)
    ledger = Ledger(ledger_url)

    def dying(done: int, total: int) -> None:
        assert total == 2500
        if done >= 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ledger.migrate(dying)
    await ledger.close()
    assert await dump(ledger_url) == before
    assert (await migrate(ledger_url)).records == 2500


async def test_two_who_migrate_at_once(ledger_url: str) -> None:
    """Of several who migrate at the same time one does it, and the others find it done."""
    await make_old(ledger_url, BODIES)
    done = await asyncio.gather(*(migrate(ledger_url) for _ in range(3)))
    assert sorted(one.records for one in done) == [0, 0, len(BODIES)]
    assert sorted(one.before or "" for one in done) == [OLDEST, NEWEST, NEWEST]


@pytest.mark.parametrize("make", [False, True])
async def test_old_ledger_is_refused(ledger_url: str, *, make: bool) -> None:
    """Nobody works with an older ledger, the recorder neither: one line names both versions and what to do."""
    await make_old(ledger_url, BODIES)
    before = await dump(ledger_url)
    with pytest.raises(LedgerNotMigrated) as refused:
        async with Ledger.open(ledger_url, make=make):
            pass
    assert str(refused.value).endswith(
        "has schema 0001, this version needs 0002; stop every recorder, back it up, and run `pointsman audit migrate`"
    )
    assert "\n" not in str(refused.value)
    assert await dump(ledger_url) == before


async def test_empty_old_ledger(ledger_url: str) -> None:
    """A ledger in which nothing was recorded is migrated like any other."""
    assert await migrated(ledger_url, []) == Migration(OLDEST, NEWEST, 0, ())
    async with Ledger.open(ledger_url) as ledger:
        assert (await ledger.chain_head()) == (0, GENESIS)


async def test_progress_is_told(ledger_url: str) -> None:
    """Of a large ledger it is told how far the migration is; of one that is up to date nothing."""
    await make_old(ledger_url, (BODIES * 3)[:2500])
    ledger = Ledger(ledger_url)
    told: list[tuple[int, int]] = []
    await ledger.migrate(lambda done, total: told.append((done, total)))
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]
    assert await ledger.migrate(lambda done, total: told.append((done, total))) == Migration(NEWEST, NEWEST, 0, ())
    assert len(told) == 3
    await ledger.close()


Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `pointsman` and gives what it wrote to standard output."""

    def pointsman(*arguments: str) -> str:
        code = typer.main.get_command(app).main(args=arguments, prog_name="pointsman", standalone_mode=False)
        assert not code
        return capsys.readouterr().out

    return pointsman


class TestCommand:
    """`pointsman audit migrate`."""

    def test_makes_and_says_so(self, run: Run, tmp_path: Path) -> None:
        """A ledger that is not there is made; one that is there is left; both are said on one line."""
        url = f"sqlite:///{tmp_path}/new/ledger.db"
        assert run("--ledger", url, "audit", "migrate") == f"the ledger {url} was made, with schema 0002\n"
        assert run("--ledger", url, "audit", "migrate") == f"the ledger {url} has schema 0002 already\n"
        assert json.loads(run("--ledger", url, "audit", "migrate", "--json")) == {
            "ledger": url, "before": "0002", "after": "0002", "records": 0, "put_aside": [], "granted": [],
        }  # fmt: skip

    def test_migrates_and_says_what(self, run: Run, ledger_url: str) -> None:
        """An old ledger is migrated: from which version to which, how many records, and which were put aside."""
        asyncio.run(make_old(ledger_url, [*BODIES, {**BODIES[0], "extra": 2**53}]))
        count = len(BODIES) + 1
        first, second = run("--ledger", ledger_url, "audit", "migrate").splitlines()
        assert first.endswith(f" was migrated from schema 0001 to 0002: {count:,} records")
        assert f"put aside, 1 in all: records {count};" in second

    def test_with_content_is_for_the_auditor(self, run: Run, tmp_path: Path) -> None:
        """An option that says what the auditor may read needs an auditor; nothing is made without one."""
        with pytest.raises(UsageProblem, match="--grant-auditor"):
            run("--ledger", f"sqlite:///{tmp_path}/ledger.db", "audit", "migrate", "--with-content")
        assert not (tmp_path / "ledger.db").exists()
