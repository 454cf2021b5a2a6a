"""Database roles: a recorder, an auditor and an operator can do their work and nothing else; tried as these roles."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest
import servers
from arq import ArqRedis
from audit_records import NOON, accepted, final, finished, put, started
from ledger_of_old import make_old, old_bodies, written
from role_attempts import FORBIDDEN, NOT_THE_OPERATORS, READ_ONLY
from sqlalchemy import text

from pointsman_audit import (
    Batch,
    ErasureOrder,
    Fate,
    Ledger,
    LedgerNotMigrated,
    LedgerUnavailable,
    ListedKind,
    Notary,
    Recorder,
    RecordFilter,
    Roles,
    RoleUnfit,
    erase,
    examine,
    jobs_about,
    record_export,
    scrub,
)
from pointsman_audit.content import Answered, Asked
from pointsman_queue import Outbox
from pointsman_routes import ExportRecord

TABLES = (
    "content", "facets", "ledger_head", "ledger_version", "open_attempts", "open_jobs", "outbox_cursor", "policies",
    "quarantine", "records",
)  # fmt: skip
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
READ = {table: {"SELECT"} for table in TABLES}
WITHOUT_CONTENT = {**READ, "content": set[str]()}
ALLOWED: dict[str, dict[str, set[str]]] = {
    "recorder": {
        **READ,
        **{table: {"SELECT", "INSERT"} for table in ("records", "facets", "policies", "quarantine")},
        **{table: {"SELECT", "INSERT", "UPDATE", "DELETE"} for table in ("content", "open_jobs", "open_attempts")},
        "ledger_head": {"SELECT", "UPDATE"},
        "outbox_cursor": {"SELECT", "INSERT", "UPDATE"},
    },
    "auditor": WITHOUT_CONTENT,
    "operator": {
        **WITHOUT_CONTENT,
        **{table: {"SELECT", "INSERT"} for table in ("records", "facets")},
        "ledger_head": {"SELECT", "UPDATE"},
        "content": {"DELETE"},
    },
}
"""Of each role what it may do to each table; written out once more, by hand."""


class House(NamedTuple):
    """A database with a ledger, and a login for each role."""

    url: str
    names: dict[str, str]
    roles: Roles

    def login(self, role: str) -> str:
        """The ledger's URL for a role."""
        return self.url.replace("postgres@", f"{self.names[role]}@")


@pytest.fixture
def house(postgres_server: servers.PostgresServer, postgres_url: str) -> Iterator[House]:
    """A database without a ledger; each role is there and may do nothing yet."""
    names = {role: f"{role}_{uuid.uuid4().hex[:8]}" for role in ALLOWED}
    postgres_server.command(postgres_url, *(f"CREATE ROLE {name} LOGIN" for name in names.values()))
    roles = Roles(recorder=names["recorder"], auditor=names["auditor"], operator=names["operator"])
    yield House(postgres_url, names, roles)
    for name in names.values():
        postgres_server.command(postgres_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


@pytest.fixture
async def granted(house: House) -> House:
    """A database with an empty ledger, in which each role has its rights."""
    await migrate(house.url, house.roles)
    return house


async def migrate(url: str, roles: Roles | None = None) -> None:
    """What `pointsman audit migrate` does."""
    ledger = Ledger(url)
    try:
        await ledger.migrate(roles=roles)
    finally:
        await ledger.close()


async def may(house: House, role: str) -> dict[str, set[str]]:
    """What PostgreSQL says that a role may do to whole tables."""
    found: dict[str, set[str]] = {table: set() for table in TABLES}
    async with written(house.url) as connection:
        for table in TABLES:
            for right in RIGHTS:
                query = text("SELECT has_table_privilege(:role, :table, :right)")
                asked = {"role": house.names[role], "table": table, "right": right}
                if (await connection.execute(query, asked)).scalar():
                    found[table].add(right)
    return found


@pytest.mark.parametrize("role", ALLOWED)
async def test_rights_are_the_least(granted: House, role: str) -> None:
    """Of every table and every right: a role has those it is meant to have, and no other."""
    assert await may(granted, role) == ALLOWED[role]


@pytest.mark.parametrize("role", ALLOWED)
async def test_more_rights_are_taken_away(granted: House, role: str) -> None:
    """A role that has been given more in the meantime is held to its rights when they are given again."""
    async with written(granted.url) as connection:
        await connection.execute(text(f"GRANT ALL ON {', '.join(TABLES)} TO {granted.names[role]}"))
        await connection.execute(text(f"GRANT SELECT (salt, job, answer) ON content TO {granted.names[role]}"))
    await migrate(granted.url, granted.roles)
    assert await may(granted, role) == ALLOWED[role]
    client = await asyncpg.connect(granted.login("auditor"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await client.fetch("SELECT answer FROM content")
    await client.close()


@pytest.mark.parametrize("role", ALLOWED)
@pytest.mark.parametrize("what", FORBIDDEN)
async def test_forbidden_to_all(granted: House, role: str, what: str) -> None:
    """No role changes or removes a record, or gets at what protects them: every attempt is refused."""
    await refused(granted, role, FORBIDDEN[what])


async def test_auditor_reads_only(granted: House) -> None:
    """An auditor writes nothing, and does not see what was asked and answered."""
    await refused(granted, "auditor", READ_ONLY)


async def test_operator_sees_no_content(granted: House) -> None:
    """An operator erases content without being able to read or write it."""
    await refused(granted, "operator", NOT_THE_OPERATORS)


async def refused(house: House, role: str, statements: tuple[str, ...]) -> None:
    """Try statements as a role; each is refused because the role may not."""
    client = await asyncpg.connect(house.login(role))
    try:
        for statement in statements:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await client.execute(statement)
    finally:
        await client.close()


async def test_recorder_does_its_work(granted: House, redis: ArqRedis, tmp_path: Path) -> None:
    """All that a recorder does it can do under its role: records, garbage, content and its end, keys, checkpoints."""
    async with Ledger.open(granted.login("recorder"), make=True) as ledger:
        notary = await Notary.begin(ledger, tmp_path / "key", tmp_path / "checkpoints")
        recorder = Recorder(Outbox(redis), ledger, duties=[notary])
        await put(redis, [accepted("job-1"), started("job-1"), b"garbage"])
        assert await recorder.drain() == 3
        await put(redis, [finished("job-1"), final("job-1"), accepted("job-2")])
        assert await recorder.drain() == 3
        await ledger.append(kept())
        assert await ledger.forget_content() == 1
        await notary.close()
        assert await ledger.quarantined() == 1
        assert await ledger.count(RecordFilter(kind=ListedKind.ANY)) == await ledger.head() == 7
    async with written(granted.url) as connection:
        assert (await connection.execute(text("SELECT job_id FROM open_jobs"))).scalars().all() == ["job-2"]
        assert (await connection.execute(text("SELECT job_id FROM content"))).scalars().all() == ["lasting"]


def kept() -> Batch:
    """Content of two jobs, one of which is over."""
    over = {"gone": NOON, "lasting": 2**53 - 1}
    return Batch(
        source="another",
        after="0-0",
        until="1-0",
        asked=tuple(Asked(job, "triage", "ana", "salt", "asked", NOON, end) for job, end in over.items()),
        answered=tuple(Answered(job, "triage", "answered", NOON, end) for job, end in over.items()),
    )


async def test_auditor_does_its_work(granted: House, redis: ArqRedis) -> None:
    """An auditor lists, counts, verifies and looks for policies; the refusal of an answer says how to get rights."""
    await put(redis, [accepted("job-1"), final("job-1")])
    async with Ledger.open(granted.login("recorder")) as ledger:
        await Recorder(Outbox(redis), ledger).drain()
    async with Ledger.open(granted.login("auditor")) as ledger:
        assert len([record async for record in ledger.list(RecordFilter())]) == 1
        assert len(await ledger.story("job-1")) == 2
        assert (await examine(ledger, [], [])).ok
        assert await ledger.policy("d" * 64) is None
        with pytest.raises(LedgerUnavailable, match="refuses this role: permission denied for table content") as told:
            await ledger.answer("job-1")
    assert "pointsman audit migrate --grant-recorder ROLE" in str(told.value)
    assert "\n" not in str(told.value)


async def test_auditor_with_content(granted: House) -> None:
    """An auditor who may read content reads it, and still writes nothing."""
    await migrate(granted.url, Roles(auditor=granted.names["auditor"], auditor_sees_content=True))
    assert await may(granted, "auditor") == READ
    await refused(granted, "auditor", tuple(statement for statement in READ_ONLY if "FROM content" not in statement))


async def test_operator_does_its_work(granted: House, redis: ArqRedis) -> None:
    """An operator finds what is held about somebody, erases it, exports, and leaves the records of both."""
    await put(redis, [accepted("gone"), final("gone"), accepted("lasting"), final("lasting")])
    async with Ledger.open(granted.login("recorder")) as ledger:
        await Recorder(Outbox(redis), ledger).drain()
        await ledger.append(kept())
    async with Ledger.open(granted.login("operator")) as ledger:
        assert set(await jobs_about(ledger, "ana")) == {"gone", "lasting"}
        order = ErasureOrder("job", "asked for", "ops")
        assert (await erase(ledger, ["lasting"], order))["lasting"] == (Fate.ERASED, 5)
        left = await scrub(ledger)
        assert left is not None
        assert "let its owner run: VACUUM content" in left.text
        await record_export(ledger, ExportRecord(form="csv", filters={}, count=3, by="ops"))
        assert await ledger.head() == 6
        assert (await examine(ledger, [], [])).ok
    async with written(granted.url) as connection:
        assert (await connection.execute(text("SELECT job_id FROM content"))).scalars().all() == ["gone"]


async def test_one_role_may_be_several(house: House) -> None:
    """A role that is given two things to do has the rights of both."""
    name = house.names["operator"]
    await migrate(house.url, Roles(recorder=name, operator=name))
    both = {table: ALLOWED["recorder"][table] | ALLOWED["operator"][table] for table in TABLES}
    assert await may(house, "operator") == both


async def test_recorder_makes_no_ledger(house: House, redis: ArqRedis) -> None:
    """Where there is no ledger a role that may not make one says who must do what, in one line; nothing is left."""
    with pytest.raises(LedgerNotMigrated) as told:
        async with Ledger.open(house.login("recorder"), make=True) as ledger:
            await Recorder(Outbox(redis), ledger).drain()
    assert str(told.value).endswith("let the database's owner run `pointsman audit migrate`")
    assert "\n" not in str(told.value)
    async with written(house.url) as connection:
        tables = await connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"))
        assert tables.scalar() == 0


async def test_recorder_migrates_no_ledger(house: House) -> None:
    """An older ledger is not for the recorder to migrate: not asked to, and not allowed to."""
    await make_old(house.url, old_bodies(3, jobs=5))
    async with written(house.url) as connection:
        await connection.execute(text(f"GRANT SELECT ON ledger_version TO {house.names['recorder']}"))
    with pytest.raises(LedgerNotMigrated, match="has schema 0001, this version needs 0002"):
        async with Ledger.open(house.login("recorder"), make=True):
            pass
    with pytest.raises(LedgerUnavailable, match="refuses this role: must be owner of"):
        await migrate(house.login("recorder"))


async def test_ledger_without_rights(granted: House) -> None:
    """A ledger that a role may not even look at says how to get rights, in one line."""
    async with written(granted.url) as connection:
        await connection.execute(text(f"REVOKE ALL ON {', '.join(TABLES)} FROM {granted.names['recorder']}"))
    with pytest.raises(LedgerUnavailable, match="permission denied for table ledger_version") as told:
        async with Ledger.open(granted.login("recorder"), make=True):
            pass
    assert "--grant-recorder ROLE" in str(told.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody here", 'there is no role "nobody here"; make it with CREATE ROLE "nobody here" LOGIN'),
        ('x"; DROP TABLE records', 'there is no role "x""; DROP TABLE records"; make it'),
        ("postgres", 'the role "postgres" owns the ledger or is a superuser'),
    ],
)
async def test_unfit_role(house: House, name: str, says: str) -> None:
    """A role that is not there, or may do anything, is refused before anything is made."""
    with pytest.raises(RoleUnfit) as told:
        await migrate(house.url, Roles(recorder=house.names["recorder"], auditor=name))
    assert str(told.value).startswith(says)
    assert told.value.exit_code == 2
    with pytest.raises(LedgerNotMigrated):
        async with Ledger.open(house.url):
            pass


async def test_owners_are_unfit(house: House, postgres_server: servers.PostgresServer) -> None:
    """Whoever owns the tables or the database, or is a member of who does, is no role to record with."""
    recorder, auditor = house.names["recorder"], house.names["auditor"]
    database = house.url.partition("@/")[2].partition("?")[0]
    postgres_server.command(house.url, f"GRANT {recorder} TO {auditor}")
    postgres_server.command(house.url, f"ALTER DATABASE {database} OWNER TO {recorder}")
    with pytest.raises(RoleUnfit, match=recorder):
        await migrate(house.url, Roles(recorder=recorder))
    await migrate(house.login("recorder"), Roles(operator=house.names["operator"]))
    postgres_server.command(house.url, f"ALTER DATABASE {database} OWNER TO postgres")
    for unfit in (recorder, auditor):
        with pytest.raises(RoleUnfit, match=unfit):
            await migrate(house.url, Roles(auditor=unfit))


async def test_sqlite_has_no_roles(tmp_path: Path) -> None:
    """Rights to a file are not ours to give: they are asked for in vain, and nothing is made."""
    with pytest.raises(RoleUnfit, match="SQLite has no roles"):
        await migrate(f"sqlite:///{tmp_path / 'ledger.db'}", Roles(recorder="r"))
    with pytest.raises(LedgerNotMigrated):
        async with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}"):
            pass
