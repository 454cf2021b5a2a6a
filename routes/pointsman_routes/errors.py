"""Everything Pointsman raises on purpose.

    PointsmanError                 exit code 1
    |-- UsageProblem               exit code 2: the caller's words are wrong
    |   |-- ConfigError            pointsman.toml; carries every Problem found
    |   |-- JobInvalid             one job cannot be accepted as written
    |   |-- JobConflict            a job id is taken by a job with other content
    |   |-- JobNotFound            no job of that id is known
    |   `-- KeyMissing             a provider's key cannot be read
    `-- ServiceUnavailable         exit code 3: Redis or the ledger does not answer
        `-- QueueFull              Redis is above its memory mark and refuses new jobs

Messages are one line: what is wrong, and what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration."""

    path: str
    """The key, dotted: `classes.triage.route[1]`."""
    message: str
    """What is wrong."""
    remedy: str
    """What to write instead."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}; {self.remedy}"


class PointsmanError(Exception):
    """Something went wrong that a person can act on."""

    exit_code = 1


class UsageProblem(PointsmanError):
    """The command, configuration or job is not right as written."""

    exit_code = 2


class ConfigError(UsageProblem):
    """The configuration has mistakes; every one of them is listed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = str(self.problems[0])
        more = len(self.problems) - 1
        super().__init__(first if not more else f"{first} (and {more} more; see `pointsman routes check`)")


class JobInvalid(UsageProblem):
    """A job cannot be accepted as written."""


class JobConflict(UsageProblem):
    """A job id or a custom_id of this batch is already taken by a job with other content."""


class JobNotFound(UsageProblem):
    """No job of that id is known here; look in the ledger with `pointsman audit show`."""


class KeyMissing(UsageProblem):
    """A provider's API key cannot be read from where the configuration says it is."""


class ServiceUnavailable(PointsmanError):
    """Redis or the ledger does not answer."""

    exit_code = 3


class QueueFull(ServiceUnavailable):
    """Redis is above 75 % of its maxmemory and takes no new jobs until workers have drained some."""
