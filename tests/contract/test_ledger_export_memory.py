"""The memory that an export takes does not grow with the ledger."""

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from ledger_filling import fill

from pointsman_audit import (
    Export,
    Ledger,
    ListedKind,
    RecordFilter,
    begin_export,
    export_parquet,
    write_csv,
    write_jsonl,
    write_parquet,
    write_raw,
)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a ledger with 12,000 records."""
    url = f"sqlite:///{tmp_path_factory.mktemp('large') / 'ledger.db'}"
    asyncio.run(fill(url, 12_000, seed=7))
    return url


async def peak(ledger: Ledger, found: Export, form: str, path: Path) -> int:
    """Bytes of Python's memory that an export takes at most."""
    tracemalloc.start()
    try:
        if form == "parquet":
            await write_parquet(ledger, found, path, lambda _: None)
        else:
            writer = {"csv": write_csv, "jsonl": write_jsonl, "raw": write_raw}[form]
            await writer(ledger, found, lambda _: None, lambda _: None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["csv", "jsonl", "raw", "parquet"])
async def test_memory_is_bounded(large: str, tmp_path: Path, form: str) -> None:
    """An export of six times as many records takes no more memory."""
    async with Ledger.open(large) as ledger:
        few = await begin_export(ledger, RecordFilter(kind=ListedKind.ANY, limit=2_000))
        every = await begin_export(ledger, RecordFilter(kind=ListedKind.ANY))
        await peak(ledger, few, form, tmp_path / "x")  # what is made once and kept is there
        small = await peak(ledger, few, form, tmp_path / "x")
        assert every.count >= 6 * few.count
        assert await peak(ledger, every, form, tmp_path / "x") < 1.5 * small


async def test_columns_wait_for_a_group_at_most(large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Arrow holds of a Parquet file that is being written is a group of rows, however many there are."""
    monkeypatch.setattr(export_parquet, "ROW_GROUP", 2_000)
    most: list[int] = []
    async with Ledger.open(large) as ledger:
        for limit in (3_000, None):
            held: list[int] = []
            found = await begin_export(ledger, RecordFilter(kind=ListedKind.ANY, limit=limit))
            await write_parquet(ledger, found, tmp_path / "x", watch(held))
            most.append(max(held))
    assert 0 < most[1] < 1.5 * most[0]


def watch(held: list[int]) -> Callable[[int], None]:
    """Notes after each page what Arrow holds."""
    return lambda _: held.append(pyarrow.total_allocated_bytes())
