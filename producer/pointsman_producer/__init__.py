"""Accepts jobs: the client and batch files."""

from pointsman_routes import Job

from .backoff import Backoff
from .batch_file import BatchFile, FileReport
from .errors import FileChanged, FileUnreadable, LedgerBehind, ResultGone, WaitTimeout
from .intake import Intake
from .job_encoder import JobEncoder
from .line_parser import LineParser
from .line_problem import LineProblem
from .producer import Producer, new_batch_id
from .submission import Receipt

__all__ = [
    "Backoff",
    "BatchFile",
    "FileChanged",
    "FileReport",
    "FileUnreadable",
    "Intake",
    "Job",
    "JobEncoder",
    "LedgerBehind",
    "LineParser",
    "LineProblem",
    "Producer",
    "Receipt",
    "ResultGone",
    "WaitTimeout",
    "new_batch_id",
]
