"""Keys, checkpoints, and the file they are in."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from pointsman_audit import (
    Checkpoint,
    CheckpointsUnusable,
    Head,
    KeyFileInvalid,
    NoCheckpoint,
    PublicKey,
    SigningKey,
    append_checkpoint,
    public_path,
    read_checkpoints,
    read_public_keys,
)

KEY = SigningKey.generate()
AT = "2026-01-01T12:00:00.000000Z"


def checkpoint(seq: int = 7, key: SigningKey = KEY) -> Checkpoint:
    """A checkpoint."""
    return Checkpoint.sign(key, ledger_id="0123456789abcdef", head=Head(seq, "a" * 64), at=AT)


def test_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    """A key that is not there is made, readable by its owner alone, with the public one beside it; then it stays."""
    path = tmp_path / "deep" / "ledger-key.pem"
    made = SigningKey.load_or_make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_path(path) == tmp_path / "deep" / "ledger-key.pub.pem"
    assert read_public_keys(public_path(path)) == [made.public]
    again = SigningKey.load_or_make(path)
    assert again.public == made.public
    assert sorted(found.name for found in path.parent.iterdir()) == ["ledger-key.pem", "ledger-key.pub.pem"]


def test_recorders_that_start_together_get_one_key(tmp_path: Path) -> None:
    """However many make the key at once, all have the same one in the end."""
    path = tmp_path / "key.pem"
    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(lambda _: SigningKey.load_or_make(path).public.key_id, range(64)))
    assert len(set(keys)) == 1
    assert sorted(found.name for found in tmp_path.iterdir()) == ["key.pem", "key.pub.pem"]


def test_key_that_another_made_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds no key and is then too late to give theirs the name takes the other's."""
    path = tmp_path / "key.pem"
    load = SigningKey.load
    made: list[SigningKey] = []

    def late(_: Path) -> SigningKey:
        monkeypatch.setattr(SigningKey, "load", load)
        made.append(SigningKey.load_or_make(path))
        raise FileNotFoundError

    monkeypatch.setattr(SigningKey, "load", late)
    assert SigningKey.load_or_make(path).public == made[0].public


def test_earlier_public_keys_are_kept(tmp_path: Path) -> None:
    """When the private key is replaced, the public ones of all before it stay readable, the newest first."""
    path = tmp_path / "key.pem"
    keys: list[PublicKey] = []
    for _ in range(3):
        keys.insert(0, SigningKey.load_or_make(path).public)
        SigningKey.load_or_make(path)
        path.unlink()
    assert read_public_keys(public_path(path)) == keys


def test_key_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is there is used though the public one cannot be put beside it."""
    path = tmp_path / "key.pem"
    made = SigningKey.load_or_make(path)
    public_path(path).unlink()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pointsman_audit.signing_key._publish", lambda *_, **__: refuse())
    assert SigningKey.load_or_make(path).public == made.public
    path.unlink()
    with pytest.raises(KeyFileInvalid, match="neither read nor made: Read-only file system"):
        SigningKey.load_or_make(path)


def test_key_id_is_of_the_raw_public_key() -> None:
    """The id can be computed with standard tools: RFC 8032's first test vector."""
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert PublicKey(raw).key_id == "21fe31dfa154a261"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_key_that_others_can_open(tmp_path: Path, mode: int) -> None:
    """A private key that is not its owner's alone is refused, with what to do."""
    path = tmp_path / "key.pem"
    SigningKey.load_or_make(path)
    path.chmod(mode)
    with pytest.raises(KeyFileInvalid, match=r"chmod 600 it$") as refused:
        SigningKey.load_or_make(path)
    assert refused.value.exit_code == 2


def _pem(key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


_RSA = rsa.generate_private_key(65537, 2048)
_ED = ed25519.Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    "data", [b"", b"secret", _pem(_RSA), _pem(_ED, b"word"), _pem(_ED)[:-40], KEY.public.pem, b"\0"]
)
def test_what_is_no_private_key(tmp_path: Path, data: bytes) -> None:
    """What is no plain Ed25519 key is refused in one line that has nothing of the file in it."""
    path = tmp_path / "key.pem"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(KeyFileInvalid, match="is no Ed25519 private key") as refused:
        SigningKey.load_or_make(path)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert path.read_bytes() == data


def test_folder_in_the_place_of_a_key(tmp_path: Path) -> None:
    """A folder is no key, private or public."""
    (tmp_path / "key.pem").mkdir()
    with pytest.raises(KeyFileInvalid, match="cannot be read: Is a directory"):
        SigningKey.load_or_make(tmp_path / "key.pem")
    with pytest.raises(KeyFileInvalid, match="cannot be read: Is a directory"):
        read_public_keys(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", KEY.public.pem + b"x", b"x" + KEY.public.pem[5:], _pem(_ED),
        _RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        KEY.public.pem + _RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    ],
)  # fmt: skip
def test_what_is_no_public_key(tmp_path: Path, data: bytes) -> None:
    """A file with anything in it but Ed25519 public keys gives none."""
    path = tmp_path / "key.pub.pem"
    path.write_bytes(data)
    with pytest.raises(KeyFileInvalid, match="is no Ed25519 public key"):
        read_public_keys(path)


def test_private_key_is_not_shown() -> None:
    """However a key is printed, only the public one's id is seen."""
    assert repr(KEY) == str(KEY) == f"SigningKey({KEY.public.key_id})"


def test_checkpoint_can_be_checked_with_standard_tools() -> None:
    """The signature is Ed25519 over the RFC 8785 form of the line without it."""
    line = json.loads(checkpoint().line)
    assert line["type"] == "pointsman-checkpoint-1"
    signature = bytes.fromhex(line.pop("signature"))
    ed25519.Ed25519PublicKey.from_public_bytes(KEY.public.raw).verify(signature, rfc8785.dumps(line))


def test_checkpoint_is_read_as_it_was_written() -> None:
    """A line gives back the checkpoint, whose signature holds for its own key alone."""
    made = checkpoint()
    assert Checkpoint.parse(made.line.encode()) == made
    assert made.signed_by(KEY.public)
    assert not made.signed_by(SigningKey.generate().public)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "pointsman-checkpoint-2"}, {"seq": 0}, {"seq": True}, {"seq": "1"}, {"seq": 1.0}, {"more": 1},
        {"record_hash": None}, {"record_hash": "A" * 64}, {"at": "yesterday"}, {"at": AT + "\n"}, {"key_id": "x"},
        {"signature": "00"},
    ],
)  # fmt: skip
def test_what_is_no_checkpoint(changes: dict[str, object]) -> None:
    """A line whose fields are not exactly a checkpoint's is none."""
    with pytest.raises(NoCheckpoint):
        Checkpoint.parse(json.dumps({**json.loads(checkpoint().line), **changes}).encode())


@given(st.binary() | st.text().map(str.encode) | st.recursive(st.none() | st.integers(), st.lists).map(json.dumps))
def test_any_line_is_a_checkpoint_or_none(line: bytes | str) -> None:
    """Whatever a line holds, nothing else than that is raised."""
    with pytest.raises(NoCheckpoint):
        Checkpoint.parse(line if isinstance(line, bytes) else line.encode())


def test_lines_are_appended(tmp_path: Path) -> None:
    """Checkpoints come out in the order they went in; the newest is the one furthest on."""
    path = tmp_path / "deep" / "checkpoints.jsonl"
    assert read_checkpoints(path).newest is None
    made = [checkpoint(seq) for seq in (3, 9, 5)]
    for one in made:
        append_checkpoint(path, one)
    read = read_checkpoints(path)
    assert read.found == tuple(made)
    assert read.newest == made[1]
    assert (read.foreign, read.torn) == ((), 0)


@pytest.mark.parametrize("length", [1, 5, 8, 100, 300])
def test_half_line_is_left_alone(tmp_path: Path, length: int) -> None:
    """After a half line a new one is begun: the checkpoint that follows can be read, the half one is nothing."""
    path = tmp_path / "checkpoints.jsonl"
    append_checkpoint(path, checkpoint(1))
    with path.open("ab") as file:
        file.write(checkpoint(2).line.encode()[:length])
    assert read_checkpoints(path).torn == 1
    append_checkpoint(path, checkpoint(3))
    read = read_checkpoints(path)
    assert [one.seq for one in read.found] == [1, 3]
    assert (read.foreign, read.torn) == ((), 1)


def test_line_without_its_end(tmp_path: Path) -> None:
    """A line that lacks but its end is whole: it is read, and nothing is glued to it."""
    path = tmp_path / "checkpoints.jsonl"
    path.write_text(checkpoint(1).line)
    append_checkpoint(path, checkpoint(2))
    assert [one.seq for one in read_checkpoints(path).found] == [1, 2]


def test_lines_of_others(tmp_path: Path) -> None:
    """What is neither a checkpoint nor the beginning of one is named by its line; blanks and zeros are nothing."""
    path = tmp_path / "checkpoints.jsonl"
    line = checkpoint(1).line
    path.write_text(f"{line}\n\nhello\n{{}}\n\0\0\0\n{line.replace('seq', 'qes')}\n{line}\r\n")
    read = read_checkpoints(path)
    assert read.foreign == (3, 4, 6)
    assert (len(read.found), read.torn) == (2, 0)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A folder in the file's place is told in one line."""
    with pytest.raises(CheckpointsUnusable, match="cannot be read: Is a directory"):
        read_checkpoints(tmp_path)


_WRITER = """
import sys
from pathlib import Path
from pointsman_audit import Checkpoint, append_checkpoint
path, line = Path(sys.argv[1]), sys.argv[2].encode()
for _ in range(int(sys.argv[3])):
    append_checkpoint(path, Checkpoint.parse(line))
"""


def test_processes_that_write_at_once(tmp_path: Path) -> None:
    """Lines of several processes never mingle and none is lost."""
    path = tmp_path / "checkpoints.jsonl"
    lines = [checkpoint(seq).line for seq in (1, 2, 3)]
    running = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), line, "100"]) for line in lines]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    read = read_checkpoints(path)
    assert sorted(one.seq for one in read.found) == [1] * 100 + [2] * 100 + [3] * 100
    assert (read.foreign, read.torn) == ((), 0)


def test_write_is_seen_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full is an error; a line is written by one at a time, and on the disk before the call returns."""
    path = tmp_path / "checkpoints.jsonl"
    append_checkpoint(path, checkpoint(1))
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    with pytest.raises(OSError, match="No space left"):
        append_checkpoint(full, checkpoint(2))
    done: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "fsync", lambda _: done.append(("fsync", path.stat().st_size)))
    monkeypatch.setattr(fcntl, "flock", lambda *_: done.append(("flock", path.stat().st_size)))
    size = path.stat().st_size
    append_checkpoint(path, checkpoint(3))
    assert done == [("flock", size), ("fsync", 2 * size)]
    assert [one.seq for one in read_checkpoints(path).found] == [1, 3]
