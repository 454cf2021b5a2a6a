"""The audit room: the recorder moves records from the outbox to the ledger, and the ledger answers questions."""

from .batch import Batch
from .chain import GENESIS, Head, canonical, link, text_hash
from .checkpoint import Checkpoint, NoCheckpoint
from .checkpoint_file import Checkpoints, append_checkpoint, read_checkpoints
from .content_intake import ContentIntake
from .duty import Duty
from .errors import (
    CheckpointsUnusable,
    FilterInvalid,
    KeyFileInvalid,
    LedgerBroken,
    LedgerNotMigrated,
    LedgerRefused,
    LedgerTooNew,
    LedgerUnavailable,
    LedgerUrlInvalid,
)
from .examination import examine
from .finding import Finding, Verdict, What
from .intake import Draft, Garbage, draft_of
from .ledger import Ledger
from .listing import ATTEMPT_FIELDS, FINAL_FIELDS, ShownRecord
from .notary import Notary
from .record_filter import ListedKind, RecordFilter
from .record_groups import GroupKey, OutcomeCount, RecordGroup
from .record_words import UnknownWord
from .recorder import Recorder
from .signing_key import PublicKey, SigningKey, public_path, read_public_keys
from .verification import Verifier
from .witnesses import Witnesses

__all__ = [
    "ATTEMPT_FIELDS",
    "FINAL_FIELDS",
    "GENESIS",
    "Batch",
    "Checkpoint",
    "Checkpoints",
    "CheckpointsUnusable",
    "ContentIntake",
    "Draft",
    "Duty",
    "FilterInvalid",
    "Finding",
    "Garbage",
    "GroupKey",
    "Head",
    "KeyFileInvalid",
    "Ledger",
    "LedgerBroken",
    "LedgerNotMigrated",
    "LedgerRefused",
    "LedgerTooNew",
    "LedgerUnavailable",
    "LedgerUrlInvalid",
    "ListedKind",
    "NoCheckpoint",
    "Notary",
    "OutcomeCount",
    "PublicKey",
    "RecordFilter",
    "RecordGroup",
    "Recorder",
    "ShownRecord",
    "SigningKey",
    "UnknownWord",
    "Verdict",
    "Verifier",
    "What",
    "Witnesses",
    "append_checkpoint",
    "canonical",
    "draft_of",
    "examine",
    "link",
    "public_path",
    "read_checkpoints",
    "read_public_keys",
    "text_hash",
]
