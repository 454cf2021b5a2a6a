"""What can go wrong with the ledger.

    PointsmanError                 exit code 1
    |-- LedgerRefused              the database will not take a statement; a defect, not an outage
    |-- LedgerBroken               somebody else has changed the records; nothing is added to such a ledger
    |-- UsageProblem               exit code 2
    |   |-- LedgerUrlInvalid       the ledger's URL names no database this version can use
    |   |-- LedgerTooNew           the ledger was migrated by a later version
    |   |-- RoleUnfit              a database role is not there, or may do more than can be kept from it
    |   |-- FilterInvalid          a filter asks for something no record can be
    |   |-- KeyFileInvalid         a key of the ledger's signatures cannot be used
    |   `-- CheckpointsUnusable    there are no checkpoints to hold the ledger against, or they are another ledger's
    `-- ServiceUnavailable         exit code 3
        |-- LedgerUnavailable      the database does not answer, is locked, full or closed to this role
        |-- LedgerNotMigrated      the ledger is not there yet or is older than this version
        `-- ReconcilerHindered     another reconciler is at work, or ledger and Redis do not belong together yet

Messages are one line and never hold a password.
"""

from pointsman_routes import PointsmanError, ServiceUnavailable, UsageProblem


class LedgerRefused(PointsmanError):
    """The database will not take a statement; waiting does not help, so the reason is in the message."""


class LedgerBroken(PointsmanError):
    """Somebody else has changed the ledger's records; `pointsman audit verify` says where."""


class LedgerUrlInvalid(UsageProblem):
    """The ledger's URL names no database this version can use; write `sqlite:///path` or `postgresql://...`."""


class LedgerTooNew(UsageProblem):
    """The ledger was migrated by a later version of Pointsman; upgrade this installation."""


class RoleUnfit(UsageProblem):
    """A database role is not there, or may do more than can be kept from it; name another."""


class FilterInvalid(UsageProblem):
    """A filter asks for something no record can be."""


class KeyFileInvalid(UsageProblem):
    """A key of the ledger's signatures cannot be used; the message names the file, never what is in it."""


class CheckpointsUnusable(UsageProblem):
    """There are no checkpoints to hold the ledger against, or they are another ledger's; name their file."""


class LedgerUnavailable(ServiceUnavailable):
    """The ledger's database does not answer, is locked or full; start it, or name another with `--ledger`."""


class LedgerNotMigrated(ServiceUnavailable):
    """The ledger is not there yet or is older than this version; run `pointsman audit migrate`."""


class ReconcilerHindered(ServiceUnavailable):
    """Another reconciler is at work, or the ledger does not know yet what is in Redis; the message says which."""
