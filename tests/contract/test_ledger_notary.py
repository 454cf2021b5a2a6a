"""The notary signs every so many records and every so often; on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arq import ArqRedis
from audit_records import accepted, put
from ledger_copy import batch_of
from notary_office import Office
from recorder_parts import until
from structlog.testing import capture_logs

from pointsman_audit import (
    Batch,
    Checkpoint,
    LedgerUnavailable,
    Notary,
    Recorder,
    SigningKey,
    append_checkpoint,
    public_path,
    read_checkpoints,
)
from pointsman_audit.notary import AT_LEAST_EVERY_S, EVERY
from pointsman_queue import Outbox
from pointsman_routes import KeyRecord


@pytest.fixture
async def office(ledger_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A ledger without records."""
    made = Office(ledger_url, tmp_path)
    await made.ledger.make()
    yield made
    await made.ledger.close()


async def test_signs_every_so_many_records(office: Office) -> None:
    """A checkpoint is made once there are so many new records, and not before."""
    notary = await office.notary()
    assert office.signed == [1]
    await office.append(EVERY - 1, notary)
    await notary.attend("s", "1-0")
    assert (office.signed, notary.unsigned) == ([1], EVERY - 1)
    await office.append(1, notary)
    await notary.attend("s", "1-0")
    assert (office.signed, notary.unsigned) == ([1, EVERY + 1], 0)
    assert await office.first_bad() == (True, None)


async def test_signs_every_so_often(office: Office) -> None:
    """The oldest unsigned record is never older than a minute; an idle ledger is not signed again."""
    notary = await office.notary()
    office.now += 3 * AT_LEAST_EVERY_S
    await notary.attend("s", "1-0")
    assert office.signed == [1]
    await office.append(2, notary)
    office.now += AT_LEAST_EVERY_S - 0.1
    await office.append(3, notary)
    await notary.attend("s", "1-0")
    assert office.signed == [1]
    office.now += 0.1
    await notary.attend("s", "1-0")
    assert office.signed == [1, 6]


async def test_signs_what_others_wrote(office: Office) -> None:
    """Records that another recorder, now dead, or a command has written are signed too, within a minute and a look."""
    notary = await office.notary()
    await office.append(4)
    office.now += 5
    await notary.attend("s", "1-0")
    assert notary.unsigned == 4
    office.now += AT_LEAST_EVERY_S
    await notary.attend("s", "1-0")
    assert office.signed == [1, 5]


async def test_signs_the_rest_when_it_ends_and_when_it_begins(office: Office) -> None:
    """Nothing stays unsigned after a good end; what a bad end has left is signed by the next one at once."""
    notary = await office.notary()
    await office.append(2, notary)
    await notary.close()
    assert office.signed == [1, 3]
    await office.append(5)
    await office.notary()
    assert office.signed == [1, 3, 8]
    await (await office.notary()).close()
    assert office.signed == [1, 3, 8]
    assert all(checkpoint.at == "2026-01-02T00:00:00.000000Z" for checkpoint in read_checkpoints(office.path).found)


async def test_several_recorders_on_one_file(office: Office) -> None:
    """Notaries of several recorders sign one chain into one file: each what it knows, read where it does not."""
    one, other = await office.notary(), await office.notary()
    for number in range(10):
        await office.append(3, one, junk=number % 3 == 0)
        await office.append(2, other, junk=number % 4 == 0)
        office.now += AT_LEAST_EVERY_S / 4
        await one.attend("s", "1-0")
        await other.attend("s", "1-0")
    await one.close()
    await other.close()
    assert one.unsigned == other.unsigned == 0
    assert one._told == other._told == {}
    assert max(office.signed) == 51
    assert await office.first_bad() == (True, None)


async def test_two_running_recorders(ledger_url: str, redis: ArqRedis, tmp_path: Path) -> None:
    """Two recorders at full speed on one ledger and one file leave a chain that is signed to its end."""
    office, other = Office(ledger_url, tmp_path), Office(ledger_url, tmp_path)
    await office.ledger.make()
    recorders = []
    for each in (office, other):
        notary = await Notary.begin(each.ledger, each.key, each.path)
        recorders.append(Recorder(Outbox(redis), each.ledger, duties=[notary]))
    running = [asyncio.create_task(recorder.run()) for recorder in recorders]
    for first in range(0, 4000, 200):
        await put(redis, [accepted(f"job-{first + number}") for number in range(200)])
    await until(lambda: sum(recorder.recorded for recorder in recorders) >= 4000)
    for recorder in recorders:
        recorder.stop()
    await asyncio.gather(*running)
    assert max(office.signed) == 4001 == await office.ledger.head()
    assert len(await office.told_keys()) == 1
    assert await office.first_bad() == (True, None)
    await office.ledger.close()
    await other.ledger.close()


async def test_tells_the_ledger_its_key(office: Office) -> None:
    """A key the ledger has not seen is told in the chain, once; another one is told again."""
    await asyncio.gather(*(office.notary() for _ in range(3)))
    first = SigningKey.load(office.key).public
    act = KeyRecord(scope="ledger", owner="a provider of that name", by="w1")
    await office.ledger.append(batch_of([act], source="another"))
    await office.notary()
    office.key.unlink()
    await office.notary()
    await office.notary()
    second = SigningKey.load(office.key).public
    told = [(told["seq"], told["key_id"], told["public_key"]) for told in await office.told_keys()]
    assert told == [
        (1, first.key_id, first.raw.hex()),
        (3, second.key_id, second.raw.hex()),
    ]
    assert await office.first_bad() == (True, None)
    public_path(office.key).write_bytes(second.pem)
    assert await office.first_bad() == (False, None)


async def test_full_disk(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that takes nothing stops nothing: it is told once, tried again, and told when it is cured."""
    notary = await office.notary()
    tries: list[int] = []

    def full(_: Path, checkpoint: Checkpoint) -> None:
        tries.append(checkpoint.seq)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pointsman_audit.notary.append_checkpoint", full)
    with capture_logs() as logs:
        for _ in range(3):
            await office.append(EVERY, notary)
            await notary.attend("s", "1-0")
        assert (len(tries), notary.unsigned) == (1, 3 * EVERY)
        office.now += 5
        await notary.attend("s", "1-0")
        assert tries == [EVERY + 1, 3 * EVERY + 1]
        monkeypatch.setattr("pointsman_audit.notary.append_checkpoint", append_checkpoint)
        await notary.attend("s", "1-0")
        assert notary.unsigned == 3 * EVERY
        office.now += 5
        await notary.attend("s", "1-0")
    assert (notary.unsigned, office.signed) == (0, [1, 3 * EVERY + 1])
    events = [(log["event"], log.get("reason")) for log in logs if log["event"].startswith("notary.checkpoint")]
    assert events == [
        ("notary.checkpoint_failed", "No space left on device"),
        ("notary.checkpoint_restored", None),
    ]


async def test_ledger_away_at_the_end(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notary that ends while the ledger is away says so and ends; the next one signs."""
    notary = await office.notary()
    await office.append(2, notary)

    async def away() -> int:
        raise LedgerUnavailable("away")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(office.ledger, "head", away)
        await notary.close()
    assert [(log["event"], log["count"]) for log in logs] == [("notary.not_closed", 2)]
    await office.notary()
    assert office.signed == [1, 3]


async def test_batches_without_entries(office: Office) -> None:
    """A batch that tells nothing of where it began is read before it is signed."""
    notary = await office.notary()
    head = await office.append(2)
    await notary.committed(Batch(source="s", after="0-0", until="1-0"), head)
    await notary.close()
    assert office.signed == [1, 3]
