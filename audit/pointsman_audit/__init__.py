"""The audit room: the recorder moves records from the outbox to the ledger, and the ledger answers questions."""

from .batch import Batch, StoredAnswer
from .errors import (
    FilterInvalid,
    LedgerNotMigrated,
    LedgerRefused,
    LedgerTooNew,
    LedgerUnavailable,
    LedgerUrlInvalid,
)
from .intake import Garbage
from .ledger import Ledger, OutcomeCount
from .listing import ATTEMPT_FIELDS, FINAL_FIELDS, ShownRecord
from .record_filter import ListedKind, RecordFilter
from .recorder import Recorder

__all__ = [
    "ATTEMPT_FIELDS",
    "FINAL_FIELDS",
    "Batch",
    "FilterInvalid",
    "Garbage",
    "Ledger",
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
    "StoredAnswer",
]
