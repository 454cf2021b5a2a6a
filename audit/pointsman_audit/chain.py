"""The chain: every record carries the hash of the one before it, so none can be changed, added or taken away alone.

A record's text is its JSON in the canonical form of RFC 8785, with its own number and `prev_hash` inside; its hash is
the SHA-256 of that text in UTF-8. Anybody can compute it with standard tools.
"""

import hashlib
import json
from typing import Any, Final, NamedTuple

import rfc8785

GENESIS: Final = "0" * 64
"""`prev_hash` of record 1."""
_EXACT: Final = 2**53 - 1
"""RFC 8785 takes numbers for doubles; beyond this not every whole number is one."""
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


class Head(NamedTuple):
    """Where a chain ends."""

    seq: int
    """Number of the last record; 0 for none."""
    hash: str
    """Its hash in hexadecimal."""


class Link(NamedTuple):
    """A record as it stands in the chain."""

    seq: int
    text: str
    """Canonical JSON."""
    hash: str

    @property
    def head(self) -> Head:
        """The chain's end, if this record is the last."""
        return Head(self.seq, self.hash)


def link(head: Head, body: dict[str, Any]) -> Link:
    """Append a record to a chain.

    Args:
        head: where the chain ends.
        body: the record; it gets its number and `prev_hash`.

    Raises:
        ValueError: if canonical JSON cannot express it; never for one that `expressible` is true of.
    """
    seq = head.seq + 1
    body["seq"], body["prev_hash"] = seq, head.hash
    text = canonical(body)
    return Link(seq, text, text_hash(text))


def text_hash(text: str) -> str:
    """The hash of a record with that text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: dict[str, Any]) -> str:
    """JSON as RFC 8785 wants it.

    Raises:
        ValueError: if it cannot express the value: a number that no double holds exactly, half a surrogate pair.
    """
    # The standard library writes the same text five times as fast where nothing is in it that it writes otherwise.
    return _encode(value) if _plain(value) else rfc8785.dumps(value).decode()


def expressible(value: dict[str, Any]) -> bool:
    """Whether canonical JSON can express the value."""
    if _plain(value):
        return True
    try:
        canonical(value).encode()
    except ValueError:
        return False
    return True


def _plain(value: object) -> bool:
    """Whether there are only whole texts, flags, None and exact whole numbers in it, under names in ASCII.

    Fractions are written otherwise by Python; names beyond ASCII it may sort otherwise.
    """
    if isinstance(value, str):
        return value.isascii() or _whole(value)
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -_EXACT <= value <= _EXACT
    if isinstance(value, dict):
        for name, inner in value.items():
            # The commonest first, without a call.
            easy = inner is None or (type(inner) is str and inner.isascii())
            if not name.isascii() or not (easy or _plain(inner)):
                return False
        return True
    return isinstance(value, list) and all(_plain(inner) for inner in value)


def _whole(text: str) -> bool:
    """Whether there is no half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
