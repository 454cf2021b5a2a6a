"""Exports of a ledger: what is in them, in each form; on both databases."""

import csv
import hashlib
import io
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import servers
from audit_records import NOON, finished
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_model import Known, history, shown, write

from pointsman_audit import (
    GENESIS,
    Ledger,
    LedgerBroken,
    LedgerUnavailable,
    ListedKind,
    RecordFilter,
    Roles,
    begin_export,
    draft_of,
    export_parquet,
    record_export,
    record_pages,
    write_csv,
    write_jsonl,
    write_parquet,
    write_raw,
)
from pointsman_audit import export as export_module
from pointsman_audit.export_csv import text_of
from pointsman_audit.semantic_names import NAMES, Form, columns
from pointsman_routes import ExportRecord, PolicyRecord, Wire

POLICY = json.dumps({"providers": {"openai": {"kind": "openai"}, "anthropic": {"kind": "anthropic"}}})
DIGEST = hashlib.sha256(POLICY.encode()).hexdigest()
NARROWED: dict[str, dict[str, Any]] = {
    "everything": {},
    "class": {"task_class": "triage"},
    "batch": {"batch_id": "batch-1"},
    "batch and class": {"batch_id": "batch-1", "task_class": "triage"},
    "job": {"job_id": "job-4"},
    "custom id": {"custom_id": "custom-3"},
    "newest": {"limit": 9},
    "between": {
        "since": datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC),
        "until": datetime(2026, 1, 1, 12, 0, 25, tzinfo=UTC),
    },
    "nothing": {"task_class": "nobody's"},
}


def told(known: Known) -> Known:
    """The record under a policy that the ledger has, where it names one."""
    change = {"policy_digest": DIGEST} if known.body.get("policy_digest") else {}
    if isinstance(known.record, PolicyRecord):
        change["policy"] = POLICY
    return replace(known, record=known.record.model_copy(update=change))


HISTORY = [told(known) for known in history(20260102)]


@pytest.fixture
async def ledger(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A ledger with the history in it, read in pages of seven."""
    monkeypatch.setattr(record_pages, "PAGE", 7)
    monkeypatch.setattr(export_module, "PAGE", 7)
    async with Ledger.open(ledger_url, make=True) as filled:
        await write(filled, HISTORY)
        yield filled


class Paper:
    """What an export writes."""

    def __init__(self) -> None:
        self.bytes = b""
        self.records = 0

    def write(self, more: bytes) -> None:
        """Write."""
        self.bytes += more

    def written(self, records: int) -> None:
        """Count."""
        self.records += records

    @property
    def lines(self) -> list[str]:
        """Its lines, which end with a line feed; other characters that end lines are none."""
        *lines, last = self.bytes.decode().split("\n")
        assert last == ""
        return lines


async def jsonl(ledger: Ledger, wanted: RecordFilter) -> list[dict[str, Any]]:
    """An export as objects."""
    found, paper = await begin_export(ledger, wanted), Paper()
    await write_jsonl(ledger, found, paper.write, paper.written)
    assert paper.records == found.count == len(paper.lines)
    return [json.loads(line) for line in paper.lines]


async def raw(ledger: Ledger, wanted: RecordFilter) -> list[str]:
    """An export of texts."""
    found, paper = await begin_export(ledger, wanted), Paper()
    await write_raw(ledger, found, paper.write, paper.written)
    assert paper.records == found.count == len(paper.lines)
    return paper.lines


async def test_every_filter(ledger: Ledger) -> None:
    """Whatever is asked for: an export has the records of the listing, in its order; a raw one in that of the chain."""
    sizes = dict.fromkeys(NARROWED, 0)
    for kind in ListedKind:
        for name, narrowed in NARROWED.items():
            wanted = RecordFilter(kind=kind, **narrowed)
            expected = [known.seq for known in shown(HISTORY, wanted)]
            assert [row["pointsman.seq"] for row in await jsonl(ledger, wanted)] == expected, (kind, name)
            texts = await raw(ledger, wanted)
            assert [json.loads(text)["seq"] for text in texts] == sorted(expected), (kind, name)
            sizes[name] += len(expected)
    assert [name for name, size in sizes.items() if not size] == ["nothing"]


async def test_an_export_does_not_run_after_the_recorder(ledger: Ledger) -> None:
    """An export is of the ledger as it was when it began, whatever is appended meanwhile; calls in flight stay so."""
    wanted = RecordFilter(kind=ListedKind.ATTEMPT)
    flying = [k for k in shown(HISTORY, wanted) if k.record.kind == "attempt_started"]
    assert flying
    found, paper = await begin_export(ledger, wanted), Paper()
    ends: list[Wire] = [finished(k.body["job_id"], attempt=k.body["attempt"], fence=k.body["fence"]) for k in flying]
    at = max(known.at for known in HISTORY)
    await write(ledger, [Known(seq=len(HISTORY) + n, at=at, record=end) for n, end in enumerate(ends, start=1)])
    await write_jsonl(ledger, found, paper.write, paper.written)
    rows = [json.loads(line) for line in paper.lines]
    assert [row["pointsman.seq"] for row in rows] == [known.seq for known in shown(HISTORY, wanted)]
    assert (found.head.seq, found.count) == (len(HISTORY), len(rows))
    assert len({row["pointsman.seq"] for row in rows if row["pointsman.finished_at"] is None}) == len(flying)


def checked(lines: list[str]) -> str:
    """Check a chain with a hash and a JSON reader, as anybody can; its last hash."""
    last = "0" * 64
    for number, line in enumerate(lines, start=1):
        record = json.loads(line)
        assert record["seq"] == number
        assert record["prev_hash"] == last
        last = hashlib.sha256(line.encode()).hexdigest()
    return last


async def test_raw_is_the_chain(ledger: Ledger) -> None:
    """The lines of a raw export are the texts that are hashed: each has the hash of the one before, from zeros on."""
    found = await begin_export(ledger, RecordFilter(kind=ListedKind.ANY))
    lines = await raw(ledger, RecordFilter(kind=ListedKind.ANY))
    assert checked(lines) == found.head.hash == (await ledger.chain_head()).hash
    assert len(lines) == found.head.seq == len(HISTORY)
    with pytest.raises(AssertionError):
        checked([*lines[:50], *lines[51:]])
    with pytest.raises(AssertionError):
        checked([*lines[:50], lines[50].replace("triage", "triagE").replace("synthesis", "Synthesis"), *lines[51:]])


async def test_rows_name_their_hash(ledger: Ledger) -> None:
    """A row has the hash of its record's text, so it can be found in the chain."""
    hashes = [
        hashlib.sha256(line.encode()).hexdigest() for line in await raw(ledger, RecordFilter(kind=ListedKind.ANY))
    ]
    rows = await jsonl(ledger, RecordFilter(kind=ListedKind.ANY))
    assert all(row["pointsman.record_hash"] == hashes[row["pointsman.seq"] - 1] for row in rows)


async def test_vendors_are_of_the_policy(ledger: Ledger) -> None:
    """The vendor of a call is what the account is in the policy that the ledger keeps; one of no account is unknown."""
    vendors = {
        (row["pointsman.provider"], row["gen_ai.provider.name"])
        for row in await jsonl(ledger, RecordFilter(kind=ListedKind.ATTEMPT))
    }
    assert vendors == {("openai", "openai"), ("anthropic", "anthropic"), ("ollama", None)}


async def test_a_record_of_each_kind(ledger: Ledger) -> None:
    """A line has the columns of its own kind, each once, in order, with what the record says."""
    for row in await jsonl(ledger, RecordFilter(kind=ListedKind.ANY)):
        known = HISTORY[row["pointsman.seq"] - 1]
        kind = ListedKind.ATTEMPT if known.record.kind.startswith("attempt") else ListedKind(known.record.kind)
        assert set(row) <= {column.name for column in columns(kind)}
        micros = datetime.fromisoformat(row["timestamp"]) - datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert (micros.days * 86_400 + micros.seconds) * 1_000_000 + micros.microseconds == known.at - NOON
        for field in ("job_id", "task_class", "to_tier", "waits_for", "path", "cost_microusd", "redriven", "filters"):
            if field in known.body:
                assert row[f"pointsman.{field}"] == known.body[field]


@pytest.mark.parametrize("kind", list(ListedKind))
async def test_forms_agree(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: ListedKind) -> None:
    """CSV and Parquet say of every record what JSON lines do, in as many columns; Parquet in types, CSV as text."""
    monkeypatch.setattr(export_parquet, "ROW_GROUP", 20)
    wanted = RecordFilter(kind=kind)
    named = {column.name: column.form for column in columns(kind)}
    rows = [{name: row.get(name) for name in named} for row in await jsonl(ledger, wanted)]
    assert rows

    found, paper = await begin_export(ledger, wanted), Paper()
    await write_csv(ledger, found, paper.write, paper.written)
    head, *cells = csv.reader(io.StringIO(paper.bytes.decode(), newline=""), strict=True)
    assert head == list(named)
    assert [[text_of(cell) for cell in row] for row in cells] == [
        [as_cell(named[k], v) for k, v in row.items()] for row in rows
    ]
    assert paper.records == len(rows)

    path, done = tmp_path / "x.parquet", Paper()
    await write_parquet(ledger, found, path, done.written)
    table = pq.read_table(path)
    assert table.column_names == list(named)
    assert {name: str(field.type) for name, field in zip(named, table.schema, strict=True)} == {
        name: TYPES[form] for name, form in named.items()
    }
    assert [{name: as_json(named[name], value) for name, value in row.items()} for row in table.to_pylist()] == rows
    assert done.records == len(rows)


TYPES = {
    Form.TEXT: "string",
    Form.OBJECT: "string",
    Form.INTEGER: "int64",
    Form.NUMBER: "double",
    Form.FLAG: "bool",
    Form.MOMENT: "timestamp[us, tz=UTC]",
    Form.TEXTS: "list<element: string>",
    Form.STEPS: "list<element: struct<tier: string, reason: string>>",
}


def as_cell(form: Form, value: Any) -> str:
    """A value of a JSON line as a CSV has it."""
    if value is None:
        return ""
    if form in (Form.TEXT, Form.MOMENT):
        return str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_json(form: Form, value: Any) -> Any:
    """A value of a Parquet file as JSON lines have it."""
    if value is None:
        return None
    if form is Form.OBJECT:
        return json.loads(value)
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if form is Form.MOMENT else value


async def test_parquet_says_what_it_is_of(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Parquet file names the ledger, the record up to which it goes with its hash, and whose names it uses."""
    monkeypatch.setattr(export_parquet, "ROW_GROUP", 20)
    found, path = await begin_export(ledger, RecordFilter(kind=ListedKind.ANY)), tmp_path / "x.parquet"
    await write_parquet(ledger, found, path, lambda _: None)
    head = await ledger.chain_head()
    file = pq.ParquetFile(path)
    assert {key.decode(): value.decode() for key, value in file.schema_arrow.metadata.items()} == {
        "pointsman.ledger_id": await ledger.ledger_id(),
        "pointsman.head_seq": str(head.seq),
        "pointsman.head_hash": head.hash,
        "pointsman.kind": "any",
        "pointsman.records": str(head.seq),
        "pointsman.names": NAMES,
    }
    groups = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
    assert sum(groups) == head.seq > 3 * 27
    assert len(groups) > 3
    assert all(20 <= size < 27 for size in groups[:-1]), groups


async def test_nothing_found(ledger: Ledger, tmp_path: Path) -> None:
    """An export of nothing is a file without rows: its columns are there."""
    found, paper = await begin_export(ledger, RecordFilter(task_class="nobody's")), Paper()
    assert found.count == 0
    await write_csv(ledger, found, paper.write, paper.written)
    assert paper.bytes.decode().splitlines() == [",".join(column.name for column in columns(ListedKind.FINAL))]
    await write_parquet(ledger, found, tmp_path / "x.parquet", paper.written)
    assert pq.read_table(tmp_path / "x.parquet").shape == (0, len(columns(ListedKind.FINAL)))


async def test_empty_ledger(ledger_url: str) -> None:
    """A ledger without records can be exported; its chain ends with zeros."""
    async with Ledger.open(ledger_url, make=True) as empty:
        found = await begin_export(empty, RecordFilter(kind=ListedKind.ANY))
        assert (found.count, found.head) == (0, (0, GENESIS))
        assert await raw(empty, RecordFilter(kind=ListedKind.ANY)) == []


async def test_records_that_go_are_noticed(ledger: Ledger) -> None:
    """An export that does not have every record it counted ends with an error, in every form."""
    found = await begin_export(ledger, RecordFilter())
    short = replace(found, count=found.count + 1)
    for writer in (write_csv, write_jsonl, write_raw):
        with pytest.raises(LedgerBroken, match="audit verify"):
            await writer(ledger, short, lambda _: None, lambda _: None)
    async with ledger.reading() as connection:
        with pytest.raises(LedgerBroken, match="9999"):
            await record_pages.stored(connection, [1, 9999])


async def test_the_record_of_an_export(ledger: Ledger) -> None:
    """The record is in the chain behind the last one, and says what was asked, of how many records, by whom."""
    act = ExportRecord(form="csv", filters={"kind": "final", "class": "triage"}, count=4, by="ops@host")
    now = datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC)
    head = await record_export(ledger, act, clock=lambda: now)
    assert head == await ledger.chain_head()
    *_, row = await jsonl(ledger, RecordFilter(kind=ListedKind.EXPORT))
    told_of = {name: row[f"pointsman.{name}"] for name in ("form", "filters", "count", "by")}
    assert ExportRecord(**told_of) == act
    assert row["timestamp"] == "2026-02-03T04:05:06.000007Z"
    assert checked(await raw(ledger, RecordFilter(kind=ListedKind.ANY))) == head.hash


@given(texts=st.lists(st.text(), min_size=1, max_size=5))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_text(ledger: Ledger, tmp_path: Path, texts: list[str]) -> None:
    """Whatever a vendor calls its model: the name is the same in every form, also with line ends in it."""
    acts = [ExportRecord(form="csv", filters={"model": text}, count=0, by=text) for text in texts]
    async with ledger.writing() as connection:
        await ledger.append_acts(connection, [draft_of(act, NOON) for act in acts])
    wanted = RecordFilter(kind=ListedKind.EXPORT)
    rows = await jsonl(ledger, wanted)
    assert [row["pointsman.by"] for row in rows if row["pointsman.seq"] > (await ledger.head()) - len(texts)] == texts
    found, paper = await begin_export(ledger, wanted), Paper()
    await write_csv(ledger, found, paper.write, paper.written)
    cells = list(csv.DictReader(io.StringIO(paper.bytes.decode(), newline=""), strict=True))
    assert [text_of(cell["pointsman.by"]) for cell in cells] == [row["pointsman.by"] for row in rows]
    await write_parquet(ledger, found, tmp_path / "x.parquet", paper.written)
    assert pq.read_table(tmp_path / "x.parquet")["pointsman.by"].to_pylist() == [row["pointsman.by"] for row in rows]


async def test_a_reader_cannot_export(postgres_server: servers.PostgresServer, postgres_url: str) -> None:
    """A database role that may only read is refused the record of an export; an operator's is written."""
    names = {role: f"{role}_{uuid.uuid4().hex[:8]}" for role in ("auditor", "operator")}
    postgres_server.command(postgres_url, *(f"CREATE ROLE {name} LOGIN" for name in names.values()))
    owner = Ledger(postgres_url)
    try:
        await owner.migrate(roles=Roles(auditor=names["auditor"], operator=names["operator"]))
        await write(owner, HISTORY)
    finally:
        await owner.close()
    act = ExportRecord(form="csv", filters={}, count=1, by="ops")
    async with Ledger.open(postgres_url.replace("postgres@", f"{names['auditor']}@")) as reader:
        assert (await begin_export(reader, RecordFilter())).count
        with pytest.raises(LedgerUnavailable, match="permission denied"):
            await record_export(reader, act)
    async with Ledger.open(postgres_url.replace("postgres@", f"{names['operator']}@")) as operator:
        assert (await record_export(operator, act)).seq == len(HISTORY) + 1
    for name in names.values():
        postgres_server.command(postgres_url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")
