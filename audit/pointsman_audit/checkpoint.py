"""A checkpoint: the recorder's signed word that the chain had a certain record at a certain number.

One JSON object a line: `type`, `ledger_id`, `seq`, `record_hash`, `at` (UTC), `key_id` and `signature`. What is signed,
with Ed25519 (RFC 8032), is the RFC 8785 canonical JSON of all but the signature, so anybody can check it with standard
tools. Since each record holds the hash of the one before, a checkpoint vouches for every record up to its own.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from pydantic_core import from_json

from .chain import Head, canonical
from .signing_key import PublicKey, SigningKey

TYPE: Final = "pointsman-checkpoint-1"
"""Says what is signed, so that no signature made for another purpose passes for a checkpoint's."""
_FIELDS = {
    "type": re.compile(re.escape(TYPE)),
    "ledger_id": re.compile(r"[0-9a-f]{16}"),
    "record_hash": re.compile(r"[0-9a-f]{64}"),
    "at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    "key_id": re.compile(r"[0-9a-f]{16}"),
    "signature": re.compile(r"[0-9a-f]{128}"),
}


class NoCheckpoint(ValueError):
    """A line is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Where the chain was, signed."""

    ledger_id: str
    seq: int
    record_hash: str
    at: str
    """When it was signed, ISO-8601 in UTC, by the recorder's clock."""
    key_id: str
    """Of the key that signed it."""
    signature: str
    """128 hexadecimal digits."""

    @classmethod
    def sign(cls, key: SigningKey, *, ledger_id: str, head: Head, at: str) -> Self:
        """Sign the end of a chain. Whoever calls it has seen that the chain up to there is whole."""
        named = {"ledger_id": ledger_id, "record_hash": head.hash, "at": at, "key_id": key.public.key_id}
        signed = key.sign(canonical({"type": TYPE, "seq": head.seq, **named}).encode())
        return cls(seq=head.seq, signature=signed.hex(), **named)

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read a line; says nothing about its signature.

        Raises:
            NoCheckpoint: if it has not exactly a checkpoint's fields, or one is not of its form.
        """
        try:
            fields = from_json(line, allow_inf_nan=False)
        except ValueError:
            raise NoCheckpoint from None
        if not isinstance(fields, dict) or fields.keys() != _FIELDS.keys() | {"seq"}:
            raise NoCheckpoint
        seq = fields.pop("seq")
        if type(seq) is not int or seq < 1:
            raise NoCheckpoint
        if not all(isinstance(fields[name], str) and form.fullmatch(fields[name]) for name, form in _FIELDS.items()):
            raise NoCheckpoint
        del fields["type"]
        return cls(seq=seq, **fields)

    @property
    def head(self) -> Head:
        """Where the chain was."""
        return Head(self.seq, self.record_hash)

    @property
    def line(self) -> str:
        """The checkpoint as it is written, without a line's end; canonical JSON too."""
        return canonical({**self._named, "signature": self.signature})

    def signed_by(self, key: PublicKey) -> bool:
        """Whether this key's owner made its signature."""
        message = canonical(self._named).encode()
        return key.signed(message, bytes.fromhex(self.signature))

    @property
    def _named(self) -> dict[str, str | int]:
        """What is signed."""
        return {
            "type": TYPE,
            "ledger_id": self.ledger_id,
            "seq": self.seq,
            "record_hash": self.record_hash,
            "at": self.at,
            "key_id": self.key_id,
        }
