"""The audit room: the recorder moves records from the outbox to the ledger, and the ledger answers questions."""

from .batch import Batch
from .chain import GENESIS, Head, canonical, link, text_hash
from .content_intake import ContentIntake
from .duty import Duty
from .errors import (
    FilterInvalid,
    LedgerBroken,
    LedgerNotMigrated,
    LedgerRefused,
    LedgerTooNew,
    LedgerUnavailable,
    LedgerUrlInvalid,
)
from .intake import Draft, Garbage, draft_of
from .ledger import Ledger, OutcomeCount
from .listing import ATTEMPT_FIELDS, FINAL_FIELDS, ShownRecord
from .record_filter import ListedKind, RecordFilter
from .recorder import Recorder

__all__ = [
    "ATTEMPT_FIELDS",
    "FINAL_FIELDS",
    "GENESIS",
    "Batch",
    "ContentIntake",
    "Draft",
    "Duty",
    "FilterInvalid",
    "Garbage",
    "Head",
    "Ledger",
    "LedgerBroken",
    "LedgerNotMigrated",
    "LedgerRefused",
    "LedgerTooNew",
    "LedgerUnavailable",
    "LedgerUrlInvalid",
    "ListedKind",
    "OutcomeCount",
    "RecordFilter",
    "Recorder",
    "ShownRecord",
    "canonical",
    "draft_of",
    "link",
    "text_hash",
]
