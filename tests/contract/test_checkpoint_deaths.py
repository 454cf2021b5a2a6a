"""Whoever writes a checkpoint may die at any moment: the file stays one that the next one goes on with."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from notary_office import AT, Office
from recorder_parts import until

from pointsman_audit import Checkpoint, Head, SigningKey, read_checkpoints

_SIGNER = """
import asyncio, resource, signal, sys
from pathlib import Path
from pointsman_audit import Ledger, Notary
from pointsman_queue import Settings

async def main(url, folder, room):
    if room:
        # The kernel ends whoever writes past this, after it has taken what there was room for.
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    async with Ledger.open(url) as ledger:
        await Notary.begin(ledger, folder / "ledger-key.pem", folder / "checkpoints.jsonl")

asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no such limit here")
async def test_death_in_the_middle_of_a_checkpoint(postgres_url: str, tmp_path: Path) -> None:
    """A process that dies while half its line is written leaves a file that the next one goes on with."""
    office = Office(postgres_url, tmp_path)
    await office.ledger.make()
    await office.notary()
    for half in (1, 50, 200):
        await office.append(2)
        room = office.path.stat().st_size + half
        command = [sys.executable, "-c", _SIGNER, office.url, str(office.path.parent), str(room)]
        died = await asyncio.to_thread(subprocess.run, command, check=False, capture_output=True)
        assert died.returncode == -signal.SIGXFSZ, died.stderr.decode()
        assert office.path.stat().st_size == room
    torn = read_checkpoints(office.path)
    assert (office.signed, torn.foreign) == ([1], ())
    await office.notary()
    assert office.signed == [1, 7]
    assert read_checkpoints(office.path).torn == 3
    assert await office.first_bad() == (True, None)
    await office.ledger.close()


_ENDLESS = """
import sys
from pathlib import Path
from pointsman_audit import Checkpoint, append_checkpoint
line = Checkpoint.parse(sys.argv[2].encode())
while True:
    append_checkpoint(Path(sys.argv[1]), line)
"""


async def test_killed_writers(tmp_path: Path) -> None:
    """Writers that are killed in full flight, again and again, two at a time, spoil no line of anybody."""
    path = tmp_path / "checkpoints.jsonl"
    key = SigningKey.generate()
    lines = [Checkpoint.sign(key, ledger_id="f" * 16, head=Head(seq, "a" * 64), at=AT).line for seq in (1, 2)]
    for _ in range(5):
        start = len(read_checkpoints(path).found)
        commands = [[sys.executable, "-c", _ENDLESS, str(path), line] for line in lines]
        running = [await asyncio.create_subprocess_exec(*command) for command in commands]
        try:
            await until(lambda: len(read_checkpoints(path).found) > start + 20)  # noqa: B023 - awaited here
        finally:
            for process in running:
                process.kill()
                await process.wait()
    read = read_checkpoints(path)
    assert (len(read.found) > 100, read.foreign) == (True, ())
    assert read.torn <= 10
    assert {one.line for one in read.found} == set(lines)
