"""What an examination of the ledger finds, and what it says in the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

MOST_FINDINGS = 20
"""Kept of one examination: after the first, most are its consequences."""


class What(StrEnum):
    """What is wrong."""

    EDITED = "edited"
    """A record is not the one that was written."""
    MISSING = "missing"
    """A number has no record."""
    INSERTED = "inserted"
    """A record stands where there was none."""
    ORDER = "order"
    """A record stands under another number than its own."""
    COLUMNS = "columns"
    """A record would be found or counted as something that it does not say."""
    CUT = "cut"
    """Records at the end are gone."""
    REWRITTEN = "rewritten"
    """The chain is whole, and not the one that was signed."""
    HEAD = "head"
    """What the ledger says of its own end is not so."""
    POLICY = "policy"
    """A configuration that was in force is not there as it was."""
    CHECKPOINT = "checkpoint"
    """Something among the checkpoints is none of this ledger."""
    SIGNATURE = "signature"
    """A checkpoint is not signed with any of the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    what: What
    text: str
    """For a person; no field of a record is in it."""
    seq: int | None = None
    """The first bad record it shows; None if it shows none."""
    between: tuple[int, int] | None = None
    """The first bad record is one of these, both included; None if none is bad. What comes before a record that is not
    as it was, back to the last good checkpoint, nothing vouches for: it may have been rewritten to fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an examination says in the end."""

    ledger_id: str
    records: int
    """How many were read."""
    checkpoints: int
    """How many had a good signature and agreed."""
    vouched: int
    """The last record that a good checkpoint vouches for; 0 for none. What comes after it may have been cut off, and
    was written by whoever can write to the database."""
    torn: int = 0
    """Half lines among the checkpoints: see `Checkpoints.torn`."""
    findings: tuple[Finding, ...] = ()
    """Those of the lowest numbers first, no more than `MOST_FINDINGS`."""

    @classmethod
    def of(cls, findings: Sequence[Finding], **counted: Any) -> Self:
        """Put findings in order, without repetitions."""
        unlike = {(finding.what, finding.seq, finding.text): finding for finding in findings}
        ordered = sorted(unlike.values(), key=lambda finding: (finding.seq is None, finding.seq or 0))
        return cls(findings=tuple(ordered[:MOST_FINDINGS]), **counted)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding of the lowest number."""
        return self.findings[0] if self.findings else None

    @property
    def first_bad_seq(self) -> int | None:
        """The first record that shows it was not left as it was; None if none does."""
        return self.first.seq if self.first else None

    @property
    def between(self) -> tuple[int, int] | None:
        """See `Finding.between`."""
        return self.first.between if self.first else None
