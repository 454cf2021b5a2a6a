"""Content on its way into the ledger: which of it is kept, for how long, and what Redis may then drop."""

from collections.abc import Sequence

import structlog

from pointsman_queue import Outbox

from .content import Answered, Asked
from .intake import Draft
from .ledger import Ledger
from .moment import Clock, utc_now

log = structlog.get_logger()


class ContentIntake:
    """Stands between outbox and ledger."""

    def __init__(self, outbox: Outbox, ledger: Ledger, *, clock: Clock = utc_now) -> None:
        self._outbox = outbox
        self._ledger = ledger
        self._clock = clock

    async def collect(self, drafts: Sequence[Draft]) -> tuple[tuple[Asked, ...], tuple[Answered, ...]]:
        """What of these records' content is to be kept."""
        return (), ()

    async def drop(self, drafts: Sequence[Draft]) -> None:
        """Let Redis drop the prompts that are in the ledger, or are not to be kept, and not needed any more."""
