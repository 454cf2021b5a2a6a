"""Taking in once more what Redis has lost: what the reconciler knows of such a job, and what it asks of others."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from pointsman_queue import NewJob

REDRIVEN_AT_ONCE = 500
"""Jobs in a call at most: Redis does nothing else meanwhile."""


class LostJob(NamedTuple):
    """A job that was accepted, has not ended and is not in Redis."""

    job_id: str
    custom_id: str
    batch_id: str
    task_class: str
    accepted_at: int
    """Microseconds since the epoch."""
    line: str | None
    """What it asks; None where nobody kept it."""
    salt: str | None


class WhyStranded(StrEnum):
    """Why a lost job, or the end of one, stays lost."""

    NO_LINE = "no_line"
    """What it asks was not kept, or has been erased."""
    UNREADABLE = "unreadable"
    """What was kept is not the job that was accepted."""
    CLASS_GONE = "class_gone"
    """The configuration does not have its class."""
    UNFIT = "unfit"
    """No tier of its class can take it any more."""
    NO_CONFIGURATION = "no_configuration"
    """There is no configuration to take it in under."""
    CONFLICT = "conflict"
    """Another job has its id by now."""
    ODD = "odd"
    """What stands in Redis under its name is no job, and is left alone."""
    NO_END = "no_end"
    """It has ended, and what is left does not tell how."""


class Redriver(Protocol):
    """Knows the configuration that lost jobs are taken in under."""

    async def announce(self) -> None:
        """Tell the ledger of it, if it does not know it yet; called before the first job."""
        ...

    def encode(self, lost: LostJob, now_us: int) -> NewJob | WhyStranded:
        """The job as the queue takes it in, or why not.

        Args:
            lost: the job; its line is there.
            now_us: the time, microseconds since the epoch.
        """
        ...


class Act(StrEnum):
    """What became of something that the reconciler found."""

    REDRIVEN = "redriven"
    """A lost job was taken in once more."""
    STRANDED = "stranded"
    """A lost job, or its end, stays lost."""
    REBUILT = "rebuilt"
    """A lost final record was written again."""


class Reconciled(NamedTuple):
    """Something the reconciler found, and what became of it."""

    act: Act
    job_id: str
    batch_id: str | None
    task_class: str | None
    reason: WhyStranded | None = None
    """Why it stays as it is."""


@dataclass(slots=True)
class Counts:
    """What a reconciler has found and done."""

    stranded: int = 0
    """Jobs that were lost and not taken in once more, as of the last time all were looked at."""
    redriven: int = 0
    """Jobs taken in once more, since it began."""
    rebuilt: int = 0
    """Final records written again, since it began."""
    returned: int = 0
    """Leases returned, since it began."""
