"""The audit room: the recorder moves records from the outbox to the ledger, and the ledger answers questions."""

from .batch import Batch
from .chain import GENESIS, Head, canonical, link, text_hash
from .checkpoint import Checkpoint, NoCheckpoint
from .checkpoint_file import Checkpoints, append_checkpoint, read_checkpoints
from .content_intake import ContentIntake
from .duty import Duty
from .erasure import Erased, ErasureOrder, Fate, erasable, erase, jobs_about
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
    ReconcilerHindered,
    RoleUnfit,
)
from .examination import examine
from .export import Export, begin_export, record_export
from .export_form import ExportForm, TextWriter, Written, write_csv, write_jsonl, write_parquet, write_raw
from .finding import Finding, Verdict, What
from .full_pass import FullPass
from .intake import Draft, Garbage, draft_of
from .ledger import Ledger
from .listing import ATTEMPT_FIELDS, FINAL_FIELDS, ShownRecord
from .migration import Migration, MigrationProgress
from .month import Month
from .monthly_figures import report_month
from .monthly_report import Frame, Latency, MonthlyReport, Spend, SpendLine
from .notary import Notary
from .policy_book import KnownPolicy, find_policy, known_policies
from .policy_supply import PolicySupply
from .proof import Agreement, Candidate, ContentPart, Digests, Proof, answer_forms, digests_of, prove
from .reconciler import Reconciler
from .record_filter import ListedKind, RecordFilter
from .record_groups import GroupKey, OutcomeCount, RecordGroup
from .record_words import UnknownWord
from .recorder import Recorder
from .recorder_health import RecorderHealth
from .redriving import Act, Counts, LostJob, Reconciled, Redriver, WhyStranded
from .roles import Roles
from .scrubbing import Leftover, scrub
from .signing_key import PublicKey, SigningKey, public_path, read_public_keys
from .sweep import Yard
from .verification import Verifier
from .witnesses import Witnesses

__all__ = [
    "ATTEMPT_FIELDS",
    "FINAL_FIELDS",
    "GENESIS",
    "Act",
    "Agreement",
    "Batch",
    "Candidate",
    "Checkpoint",
    "Checkpoints",
    "CheckpointsUnusable",
    "ContentIntake",
    "ContentPart",
    "Counts",
    "Digests",
    "Draft",
    "Duty",
    "Erased",
    "ErasureOrder",
    "Export",
    "ExportForm",
    "Fate",
    "FilterInvalid",
    "Finding",
    "Frame",
    "FullPass",
    "Garbage",
    "GroupKey",
    "Head",
    "KeyFileInvalid",
    "KnownPolicy",
    "Latency",
    "Ledger",
    "LedgerBroken",
    "LedgerNotMigrated",
    "LedgerRefused",
    "LedgerTooNew",
    "LedgerUnavailable",
    "LedgerUrlInvalid",
    "Leftover",
    "ListedKind",
    "LostJob",
    "Migration",
    "MigrationProgress",
    "Month",
    "MonthlyReport",
    "NoCheckpoint",
    "Notary",
    "OutcomeCount",
    "PolicySupply",
    "Proof",
    "PublicKey",
    "Reconciled",
    "Reconciler",
    "ReconcilerHindered",
    "RecordFilter",
    "RecordGroup",
    "Recorder",
    "RecorderHealth",
    "Redriver",
    "RoleUnfit",
    "Roles",
    "ShownRecord",
    "SigningKey",
    "Spend",
    "SpendLine",
    "TextWriter",
    "UnknownWord",
    "Verdict",
    "Verifier",
    "What",
    "WhyStranded",
    "Witnesses",
    "Written",
    "Yard",
    "answer_forms",
    "append_checkpoint",
    "begin_export",
    "canonical",
    "digests_of",
    "draft_of",
    "erasable",
    "erase",
    "examine",
    "find_policy",
    "jobs_about",
    "known_policies",
    "link",
    "prove",
    "public_path",
    "read_checkpoints",
    "read_public_keys",
    "record_export",
    "report_month",
    "scrub",
    "text_hash",
    "write_csv",
    "write_jsonl",
    "write_parquet",
    "write_raw",
]
