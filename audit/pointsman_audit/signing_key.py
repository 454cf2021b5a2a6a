"""The ledger's keys: an Ed25519 pair. The recorder signs with the private one, anybody checks with the public one.

Weakness: whoever has the private key can sign another history. Checkpoints say who could have written the ledger, not
that it was not them; keep the key and a copy of the checkpoints on different machines if that matters.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from .errors import KeyFileInvalid

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_END = b"-----END PUBLIC KEY-----"
_ID_DIGITS = 16
_LONGEST_FILE = 65_536


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What checkpoints are checked with."""

    raw: bytes
    """32 bytes."""

    @property
    def key_id(self) -> str:
        """The key's name: the first 16 hexadecimal digits of the SHA-256 of the raw key."""
        return sha256(self.raw).hexdigest()[:_ID_DIGITS]

    @property
    def pem(self) -> bytes:
        """The key as PEM (SubjectPublicKeyInfo, RFC 8410)."""
        return Ed25519PublicKey.from_public_bytes(self.raw).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key's owner signed the message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """What checkpoints are signed with. Shows itself by the public key's id only."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key that its owner alone can read.

        Args:
            path: PEM (PKCS 8), not encrypted.

        Raises:
            FileNotFoundError: if there is no file.
            KeyFileInvalid: if others can read it, or it is no Ed25519 key.
        """
        data = _private_text(path)
        try:
            private = load_pem_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Not chained: nothing of the file is to be in a traceback.
            raise _no_key(path) from None
        if not isinstance(private, Ed25519PrivateKey):
            raise _no_key(path)
        return cls(private)

    @classmethod
    def load_or_make(cls, path: Path) -> Self:
        """Read the key, or make it; recorders that start together all get the one that was first.

        The public key is put beside it, see `public_path`.

        Raises:
            KeyFileInvalid: if the file cannot be used, or not be made.
        """
        try:
            try:
                key = cls.load(path)
            except FileNotFoundError:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Whoever is first to give a whole file its name has made the key.
                _publish(path, _pem(Ed25519PrivateKey.generate()), mode=0o600, replace=False)
                key = cls.load(path)
        except OSError as error:
            raise KeyFileInvalid(f"the signing key {path} can be neither read nor made: {_reason(error)}") from None
        # Where the folder is read-only, whoever made the key has kept the public one.
        with suppress(OSError):
            _keep_public(public_path(path), key.public)
        return key

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id})"


def public_path(path: Path) -> Path:
    """Where the public key of a private key's file is: `ledger-key.pem` has `ledger-key.pub.pem`.

    The file keeps the public keys of all private ones that were there, newest first: older checkpoints need them.
    """
    return path.with_name(f"{path.name.removesuffix('.pem')}.pub.pem")


def read_public_keys(path: Path) -> list[PublicKey]:
    """The public keys in a file, one PEM block after the other.

    Raises:
        KeyFileInvalid: if it cannot be read, or anything but Ed25519 public keys is in it.
    """
    try:
        with path.open("rb") as file:
            blocks = file.read(_LONGEST_FILE).strip().split(_END)
    except OSError as error:
        raise KeyFileInvalid(f"the public key {path} cannot be read: {_reason(error)}; name another file") from None
    keys: list[PublicKey] = []
    for block in (block + _END for block in blocks[:-1]):
        try:
            key = load_pem_public_key(block)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if isinstance(key, Ed25519PublicKey):
            keys.append(PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw)))
        else:
            keys.clear()
            break
    if not keys or blocks[-1].strip():
        raise KeyFileInvalid(f"{path} is no Ed25519 public key in PEM; give the recorder's, ledger-key.pub.pem")
    return keys


def _pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _private_text(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise KeyFileInvalid(f"the signing key {path} is open to others than its owner; chmod 600 it")
            return file.read(_LONGEST_FILE)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileInvalid(f"the signing key {path} cannot be read: {_reason(error)}; name another file") from None


def _no_key(path: Path) -> KeyFileInvalid:
    return KeyFileInvalid(
        f"{path} is no Ed25519 private key in PEM without a password; move it away and a new one is made"
    )


def _keep_public(path: Path, key: PublicKey) -> None:
    known = path.read_bytes() if path.exists() else b""
    if key.pem not in known:
        _publish(path, key.pem + known, mode=0o644, replace=True)


def _publish(path: Path, data: bytes, *, mode: int, replace: bool) -> None:
    """Write a file that is there whole or not at all; without `replace` whoever was first keeps the name."""
    draft = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        # Made with its mode, not given it afterwards: nobody can open it in between.
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
            return
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Make a new name in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
