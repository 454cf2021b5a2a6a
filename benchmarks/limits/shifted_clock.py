"""`pointsman` under a clock that is ahead: `python -m benchmarks.limits.shifted_clock SECONDS COMMAND...`.

Shifted are `time.time`, `time.time_ns` and `datetime.now`, also where a module has taken them by name: what a worker
reads to date an answer, to price a call, to count down to a vendor's date. Not shifted: `time.monotonic`, which is
counted from a start of its own in every process anyway, and the clock of Redis, which is the one the limits go by.
"""

import datetime as calendar
import sys
import time
from collections.abc import Callable

_TAKEN_BY = ("pointsman_", "arq", "genai_prices")
"""Packages in which `datetime` is replaced. Elsewhere it is also a type that others compare with."""


def shift(seconds: int) -> None:
    """Put this process's clock ahead. Modules loaded later take the shifted `time`, but not the shifted `datetime`."""
    true_time, true_ns = time.time, time.time_ns

    def shifted_time() -> float:
        return true_time() + seconds

    def shifted_ns() -> int:
        return true_ns() + seconds * 1_000_000_000

    replaced: dict[Callable[..., object], Callable[..., object]] = {true_time: shifted_time, true_ns: shifted_ns}
    for name, module in list(sys.modules.items()):
        for attribute, value in list(vars(module).items()):
            if value is true_time or value is true_ns:
                setattr(module, attribute, replaced[value])
            elif value is calendar.datetime and name.startswith(_TAKEN_BY):
                setattr(module, attribute, _ahead(shifted_time))


def _ahead(clock: Callable[[], float]) -> type[calendar.datetime]:
    class AsTrue(type):
        """A true datetime is one of ours too."""

        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, calendar.datetime)

    class Ahead(calendar.datetime, metaclass=AsTrue):
        """`datetime` that reads the shifted clock."""

        @classmethod
        def now(cls, tz: calendar.tzinfo | None = None) -> calendar.datetime:  # type: ignore[override]  # a true one
            return calendar.datetime.fromtimestamp(clock(), tz)

    return Ahead


def main() -> None:
    """Shift, then run `pointsman`."""
    # Loaded first, the lazily loaded rooms too, so that they are shifted.
    import pointsman_worker  # noqa: F401  # for its modules
    from pointsman_console import main as pointsman

    shift(int(sys.argv[1]))
    sys.argv[:2] = ["pointsman"]
    pointsman()


if __name__ == "__main__":
    main()
