"""The ledger examined: nothing that was changed stays unseen, nothing honest is suspected; on both databases."""

import asyncio
import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import tampering
from acceptance_line import Done, bare_environment, run
from audit_records import accepted, final
from ledger_copy import KEY, Copy, Workplace, batch_of, made
from sqlalchemy import text

from pointsman_audit import Checkpoints, Ledger, SigningKey, What, append_checkpoint, examine
from pointsman_routes import PolicyRecord, Wire


async def filled(url: str, count: int, seed: int = 1) -> tuple[Copy, Workplace]:
    """A ledger of so many records, and its database without triggers."""
    async with Ledger.open(url, make=True):
        pass
    copy = await made(url, count, random.Random(seed))
    place = Workplace(url)
    await place.open_to_changes()
    return copy, place


def policy_change(number: int) -> PolicyRecord:
    """A policy of that number comes into force."""
    policy = f'{{"number":{number}}}'
    digest = hashlib.sha256(policy.encode()).hexdigest()
    return PolicyRecord(role="worker", policy_digest=digest, by="w1", policy=policy)


async def test_tampering_in_the_database(ledger_url: str) -> None:
    """Random tampering with a database is found by examining it, with the first bad record named or bounded."""
    async with Ledger.open(ledger_url, make=True):
        pass
    figures = tampering.Figures()
    await tampering.tamper_with(ledger_url, 150, figures, random.Random(5), in_database=1)
    assert (figures.false_alarms, figures.wrong) == ([], [])
    assert figures.tamperings == figures.found == figures.exact + figures.within == 150


async def test_honest_ledgers_and_changed_ones() -> None:
    """Of many ledgers none is suspected, and whatever is done to them is found."""
    figures = await tampering.run(400, 30, seed=7)
    assert (figures.honest, figures.false_alarms, figures.wrong) == (30, [], [])
    assert figures.tamperings == figures.found == 400


async def test_pages(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a page ends makes no difference to what is found, and progress is told after each."""
    copy, place = await filled(ledger_url, 30)
    told: list[tuple[int, int]] = []
    for size in (1, 7, 30, 31):
        monkeypatch.setattr("pointsman_audit.examination.PAGE", size)
        told.clear()
        async with Ledger.open(ledger_url) as ledger:
            verdict = await examine(ledger, [copy.file], [KEY.public], progress=lambda *at: told.append(at))
        assert (verdict.ok, verdict.records) == (True, 30)
        assert told == [(read, 30) for read in range(size, 31, size)]
        changed = copy.twin()
        del changed.records[13]
        assert (await place.verdict(changed)).first_bad_seq == 14
        await place.put(copy)
    await place.close()


async def test_examined_while_it_is_written(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that grows is in order at any moment, and is examined up to where it was; its writer is not held up."""
    monkeypatch.setattr("pointsman_audit.examination.PAGE", 10)
    async with Ledger.open(ledger_url, make=True) as writer, Ledger.open(ledger_url) as reader:
        done = asyncio.Event()

        async def write() -> None:
            for number in range(40):
                records: list[Wire | bytes] = [final(f"j{number}", served_tier=f"t/{number}") for _ in range(4)]
                records.append(policy_change(number))
                assert await writer.append(batch_of(records, after=number * 5)) is not None
            done.set()

        writing = asyncio.create_task(write())
        read = []
        while not done.is_set():
            verdict = await examine(reader, [], [])
            assert verdict.findings == ()
            read.append(verdict.records)
        await writing
        assert (await examine(reader, [], [])).records == 200
    assert read == sorted(read)


async def test_what_a_column_of_sqlite_takes(tmp_path: Path) -> None:
    """SQLite lets anything stand in a column; a flag that is neither true nor false is found as what it is."""
    copy, place = await filled(f"sqlite:///{tmp_path / 'ledger.db'}", 40)
    for change in (
        "UPDATE facets SET downgraded = 7 WHERE id = 1",
        "UPDATE facets SET downgraded = 'x' WHERE id = 1",
        "UPDATE facets SET key = 'x' WHERE id = 1",
        "UPDATE records SET at = 'x' WHERE seq = 1",
        "UPDATE records SET body = x'00' WHERE seq = 1",
        "UPDATE records SET record_hash = 1 WHERE seq = 1",
        "UPDATE records SET facet_id = 'x' WHERE seq = 1",
        "UPDATE policies SET policy = x'00'",
    ):
        await place.put(copy)
        async with place._engine.begin() as connection:
            await connection.execute(text(change))
        verdict = await place.examined(copy)
        assert not verdict.ok, change
        assert verdict.first_bad_seq == (None if "policies" in change else 1)
    await place.close()


async def test_a_ledger_without_records(ledger_url: str) -> None:
    """An empty ledger is in order."""
    async with Ledger.open(ledger_url, make=True) as ledger:
        verdict = await examine(ledger, [Checkpoints()], [KEY.public])
        assert (verdict.ok, verdict.records, verdict.vouched) == (True, 0, 0)
        assert verdict.ledger_id == await ledger.ledger_id()


class Auditor:
    """Asks the command line about a ledger; brings the key and the checkpoints."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "home" / "checkpoints.jsonl"
        self.key = folder / "home" / "ledger-key.pub.pem"
        self.env = bare_environment(POINTSMAN_LEDGER_URL=url, POINTSMAN_HOME=str(folder / "home"))

    def ask(self, *arguments: str, expect: int) -> Done:
        """Run `pointsman audit`."""
        return run("audit", *arguments, env=self.env, cwd=self.folder, expect=expect)

    def told(self, *arguments: str, expect: int) -> dict[str, Any]:
        """What `verify` says as JSON."""
        (found,) = self.ask("verify", "--json", *arguments, expect=expect).objects
        return found


@pytest.mark.acceptance
async def test_command_line(ledger_url: str, tmp_path: Path) -> None:
    """`audit verify` says by its exit code whether anything was changed, and what; without checkpoints it refuses."""
    auditor = Auditor(ledger_url, tmp_path)
    assert "there are no checkpoints in" in auditor.ask("verify", expect=2).err
    auditor.ask("verify", "--no-checkpoints", expect=3)
    copy, place = await filled(ledger_url, 50)
    assert auditor.told("--no-checkpoints", expect=0)["checkpoints"] == 0
    for checkpoint in copy.checkpoints:
        append_checkpoint(auditor.checkpoints, checkpoint)
    assert "ledger-key.pub.pem cannot be read: No such file" in auditor.ask("verify", expect=2).err
    auditor.key.write_bytes(KEY.public.pem)
    good = auditor.told(expect=0)
    assert (good["ok"], good["records"], good["first_bad_seq"], good["findings"]) == (True, 50, None, [])
    assert (good["checkpoints"], good["vouched"]) == (len(copy.checkpoints), copy.signed[-1])
    assert f"nothing was changed up to record {copy.signed[-1]}" in auditor.ask("verify", expect=0).out

    changed = copy.twin()
    tampering.reset(changed.records[9], prev_hash="f" * 64)
    await place.put(changed)
    bad = auditor.told(expect=1)
    assert (bad["ok"], bad["first_bad_seq"], bad["what"]) == (False, 10, "edited")
    assert "first bad record 10" in auditor.ask("verify", expect=1).out
    assert auditor.told("--no-checkpoints", expect=1)["first_bad_seq"] == 10

    shutil.move(auditor.checkpoints, tmp_path / "kept.jsonl")
    (tmp_path / "other.pem").write_bytes(SigningKey.generate().public.pem)
    await place.put(copy)
    given = ("--checkpoints", "kept.jsonl", "--public-key", "other.pem")
    assert auditor.told(*given, expect=1)["what"] == What.SIGNATURE
    assert auditor.told(*given, "--public-key", str(auditor.key), expect=0)["ok"]
    await place.close()


@pytest.mark.acceptance
async def test_wrong_use(tmp_path: Path) -> None:
    """What cannot be what was meant is refused in one line."""
    auditor = Auditor(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path)
    (tmp_path / "x.pem").write_text("x")
    (tmp_path / "some.jsonl").write_text("x\n")
    both = auditor.ask("verify", "--no-checkpoints", "--checkpoints", "some.jsonl", expect=2)
    assert both.err.count("\n") == 1
    wrong = auditor.ask("verify", "--checkpoints", "some.jsonl", "--public-key", "x.pem", expect=2)
    assert "no line of some.jsonl is a checkpoint; name the recorder's file with --checkpoints" in wrong.err
    wrong = auditor.ask("verify", "--no-checkpoints", "--public-key", "x.pem", expect=2)
    assert "x.pem is no Ed25519 public key in PEM" in wrong.err
    wrong = auditor.ask("verify", "--no-checkpoints", "--public-key", "y.pem", expect=2)
    assert "y.pem cannot be read: No such file or directory; name another file" in wrong.err


@pytest.mark.acceptance
async def test_checkpoint_command(ledger_url: str, tmp_path: Path) -> None:
    """`audit checkpoint` prints the newest one as it can be checked, and what came after; `--sign` makes one."""
    auditor = Auditor(ledger_url, tmp_path)
    async with Ledger.open(ledger_url, make=True) as ledger:
        await ledger.append(batch_of([accepted("a"), accepted("b")]))
        assert "there is no checkpoint in" in auditor.ask("checkpoint", expect=2).err
        assert "there is no signing key at" in auditor.ask("checkpoint", "--sign", expect=2).err
        key = SigningKey.load_or_make(tmp_path / "home" / "ledger-key.pem")
        (signed,) = auditor.ask("checkpoint", "--sign", "--json", expect=0).objects
        assert (signed["checkpoint"]["seq"], signed["records_after"]) == (3, 0)
        assert signed["checkpoint"]["key_id"] == key.public.key_id
        assert json.loads(auditor.checkpoints.read_text()) == signed["checkpoint"]
        await ledger.append(batch_of([accepted("c"), accepted("d")], after=2))
        assert auditor.ask("checkpoint", "--json", expect=0).objects[0]["records_after"] == 2
        assert "records_after  2" in auditor.ask("checkpoint", expect=0).out
        assert auditor.told(expect=0)["vouched"] == 3
    place = Workplace(ledger_url)
    await place.open_to_changes()
    copy = await place.read()
    del copy.records[2:]
    tampering.right_head(copy)
    await place.put(copy)
    assert "the newest checkpoint is of record 3, the ledger ends at 2" in auditor.ask("checkpoint", expect=1).err
    assert "nothing is signed" in auditor.ask("checkpoint", "--sign", expect=1).err
    assert auditor.told(expect=1)["what"] == What.CUT
    assert len(auditor.checkpoints.read_text().splitlines()) == 1
    await place.close()
