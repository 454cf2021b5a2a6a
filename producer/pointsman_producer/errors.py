"""What the producer raises on top of the shared tree.

    PointsmanError
    |-- ServiceUnavailable
    |   `-- LedgerBehind           jobs are in the queue, and the ledger has not confirmed them in time
    |-- WaitTimeout                also a TimeoutError: the wait for results has ended before the jobs have
    `-- UsageProblem
        |-- ResultGone             a job's result is not kept any more, or its batch was never here
        |-- FileUnreadable         a job file cannot be read
        `-- FileChanged            a job file was written to while it was being read

Messages are one line: what is wrong, and what to do.
"""

from collections.abc import Collection

from pointsman_routes import PointsmanError, ServiceUnavailable, UsageProblem


class LedgerBehind(ServiceUnavailable):
    """Jobs of a class with `acceptance = "ledger"` are in the queue, but the ledger has not confirmed them in time."""

    def __init__(self, batch_id: str, seconds: float) -> None:
        self.batch_id = batch_id
        super().__init__(
            f"the ledger has not confirmed the jobs of batch {batch_id} within {seconds:g} s, so they are not "
            "acknowledged, though they are in the queue; start `pointsman recorder`, and submit the same jobs under "
            "this batch id: none is asked twice"
        )


class WaitTimeout(PointsmanError, TimeoutError):
    """The wait has ended; the jobs go on, and can be waited for again."""

    def __init__(self, outstanding: int, seconds: float) -> None:
        self.outstanding = outstanding
        super().__init__(
            f"not finished after {seconds:g} s: {outstanding:,} of the jobs; they go on, ask for their results again"
        )


class ResultGone(UsageProblem):
    """Results are asked for longer than they are kept, or of a batch that was never here."""

    def __init__(self, batch_id: str, job_ids: Collection[str] | None = None) -> None:
        self.batch_id = batch_id
        self.job_ids = tuple(job_ids or ())
        if not self.job_ids:
            message = f"nothing is known of batch {batch_id}: it was not submitted here, or is not kept any more"
        else:
            message = f"{len(self.job_ids):,} results of batch {batch_id} are not kept any more (job {self.job_ids[0]})"
        super().__init__(f"{message}; look in the ledger with `pointsman audit list`")


class FileUnreadable(UsageProblem):
    """The job file cannot be read; check its path and permissions."""


class FileChanged(UsageProblem):
    """The job file was written to while it was being read; submit it again once it is complete."""
