"""The notary signs nothing over a ledger that somebody has changed; on both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from ledger_copy import Workplace
from notary_office import AT, Office
from structlog.testing import capture_logs

from pointsman_audit import (
    Checkpoint,
    CheckpointsUnusable,
    Head,
    LedgerBroken,
    SigningKey,
    append_checkpoint,
    read_checkpoints,
)


@pytest.fixture
async def office(ledger_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    """A ledger without records."""
    made = Office(ledger_url, tmp_path)
    await made.ledger.make()
    yield made
    await made.ledger.close()


async def test_begins_on_nothing_changed(office: Office) -> None:
    """Records before the last checkpoint, and after it, must be what they were: else nothing is signed at all."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    assert office.signed == [1, 11]
    await office.append(10)
    await office.tamper(15, rest=False)
    with pytest.raises(LedgerBroken, match=r"record 15 is not the next in the chain.*nothing is signed"):
        await office.notary()
    await office.tamper(5)
    with pytest.raises(LedgerBroken, match="record 11 is not the one that was signed"):
        await office.notary()
    assert office.signed == [1, 11]


async def test_begins_on_no_forged_checkpoint(office: Office) -> None:
    """A line that somebody without the key has added is no ground to go on from."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    await office.tamper(5)
    head = await office.ledger.chain_head()
    forged = Checkpoint.sign(SigningKey.generate(), ledger_id=await office.ledger.ledger_id(), head=head, at=AT)
    append_checkpoint(office.path, forged)
    with pytest.raises(LedgerBroken, match="record 11 is not the one that was signed"):
        await office.notary()
    known = replace(forged, key_id=SigningKey.load(office.key).public.key_id)
    append_checkpoint(office.path, known)
    with pytest.raises(LedgerBroken, match="was not signed with the key it names"):
        await office.notary()


async def test_begins_on_no_cut_ledger(office: Office) -> None:
    """A ledger that ends before its last checkpoint, or is another one, is not signed."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    newest = read_checkpoints(office.path).newest
    assert newest is not None
    key = SigningKey.load(office.key)
    further = Checkpoint.sign(key, ledger_id=newest.ledger_id, head=Head(12, "a" * 64), at=AT)
    append_checkpoint(office.path, further)
    with pytest.raises(LedgerBroken, match="record 12 is not the one that was signed"):
        await office.notary()
    office.path.unlink()
    append_checkpoint(office.path, Checkpoint.sign(key, ledger_id="f" * 16, head=newest.head, at=AT))
    with pytest.raises(CheckpointsUnusable, match=r"has checkpoints of another ledger, f{16}"):
        await office.notary()


async def test_file_that_is_gone(office: Office) -> None:
    """Without a checkpoint the whole chain is followed before it is signed, and the log says that there was none."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    office.path.unlink()
    with capture_logs() as logs:
        await office.notary()
    assert [log["count"] for log in logs if log["event"] == "notary.no_checkpoints"] == [11]
    assert office.signed == [11]
    office.path.unlink()
    await office.tamper(5, rest=False)
    with pytest.raises(LedgerBroken, match="record 5 is not the next"):
        await office.notary()


async def test_signs_what_it_wrote_not_what_is_there(office: Office) -> None:
    """What this recorder wrote is signed as it was, whatever the database says by then; so the change is found."""
    notary = await office.notary()
    await office.append(10, notary)
    await office.tamper(5)
    await notary.close()
    assert office.signed == [1, 11]
    assert await office.first_bad() == (False, 2)


async def test_signs_nothing_over_a_change_among_what_others_wrote(office: Office) -> None:
    """Records of another recorder that do not fit stop the notary, as does one of its own that is another by then."""
    notary = await office.notary()
    await office.append(10)
    await office.append(3, notary)
    await office.tamper(5, rest=False)
    with pytest.raises(LedgerBroken, match="record 5 is not the next in the chain"):
        await notary.close()
    await office.tamper(5)
    with pytest.raises(LedgerBroken, match="record 14 is not the one that was written"):
        await notary.close()
    assert office.signed == [1]


async def test_text_that_has_another_hash(office: Office) -> None:
    """A record of another recorder whose text is not that of its hash stops the notary."""
    notary = await office.notary()
    await office.append(10)
    await office.append(3, notary)
    await office.garble(5)
    with pytest.raises(LedgerBroken, match="record 5 is not the one that was written"):
        await notary.close()


async def test_last_line_is_not_the_furthest(office: Office) -> None:
    """It is the checkpoint that is furthest on that the ledger must agree with, wherever in the file it is."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    text = office.path.read_text()
    first, last = text.splitlines()
    office.path.write_text(f"{last}\n{first}\n")
    assert (await office.notary()).unsigned == 0
    await office.tamper(5)
    with pytest.raises(LedgerBroken, match="record 11 is not the one that was signed"):
        await office.notary()


async def test_checkpoint_of_a_forgotten_key(office: Office) -> None:
    """A checkpoint of a key that nobody here knows any more must still be agreed with."""
    notary = await office.notary()
    await office.append(10, notary)
    await notary.close()
    for path in office.key.parent.glob("*.pem"):
        path.unlink()
    await office.tamper(5)
    with pytest.raises(LedgerBroken, match="record 11 is not the one that was signed"):
        await office.notary()


async def test_record_that_is_gone(office: Office) -> None:
    """Records that were told of and are not there any more stop the notary."""
    notary = await office.notary()
    await office.append(10)
    office.now += 5
    await notary.attend("s", "1-0")
    place = Workplace(office.url)
    await place.open_to_changes()
    copy = await place.read()
    del copy.records[4:]
    await place.put(copy)
    await place.close()
    with pytest.raises(LedgerBroken, match="record 5 is gone"):
        await notary.close()
