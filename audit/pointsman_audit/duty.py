"""A duty: what the recorder does beside recording, in the same loop: signing, reconciling, telling how it fares."""

from typing import Protocol

from .batch import Batch
from .chain import Head


class Duty(Protocol):
    """Something the recorder sees to after every batch and about once a second.

    A duty keeps its own time: most calls of `attend` find nothing due. Its own troubles are its own to log and retry;
    what it raises as `ServiceUnavailable` the recorder waits out as an outage of the line.
    """

    async def committed(self, batch: Batch, head: Head) -> None:
        """A batch is in the ledger for good.

        Args:
            batch: what was written.
            head: where the chain ended then.
        """
        ...

    async def attend(self, source: str, cursor: str) -> None:
        """See to what is due.

        Args:
            source: the outbox that is being recorded.
            cursor: its last entry that is in the ledger; everything up to it is.
        """
        ...

    async def close(self) -> None:
        """The recorder ends in good order: finish what was begun."""
        ...
