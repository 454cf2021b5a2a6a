"""What the demo shows while it runs: drawn anew on a terminal, a line now and then where there is none."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pointsman_queue import Gate
from pointsman_routes import ServiceUnavailable

_REDRAW_S = 0.25
_LINE_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TierView:
    """One tier at a moment."""

    tier: str
    waiting: int
    in_flight: int
    refused: int
    """429s so far."""
    gate: Gate
    workers: int

    @property
    def state(self) -> str:
        """Whether it takes calls, and why not."""
        if self.gate.disabled is not None:
            return f"disabled: {self.gate.disabled}"
        if self.gate.closed is not None:
            return f"closed: {self.gate.closed}"
        if not self.workers:
            return "no worker"
        if self.gate.breaker.value != "closed":
            return f"breaker {self.gate.breaker.value}"
        return f"throttled {self.gate.throttled_for_s:.1f} s" if self.gate.throttled_for_s > 0 else "open"


@dataclass(slots=True)
class Scoreboard:
    """What has been answered, over all scenes."""

    submitted: int = 0
    finished: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    """By tier."""


Look = Callable[[], Awaitable[Sequence[TierView]]]


class DemoScreen:
    """Tells the story on standard error; standard output is left to the figures."""

    def __init__(self, *, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.scores = Scoreboard()
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def scene(self, number: int, title: str) -> None:
        """Begin a scene."""
        self.console.print(f"\n[bold]{number}  {title}[/bold]", soft_wrap=not self.console.is_terminal)

    def say(self, text: str) -> None:
        """A remark, with the time."""
        # A terminal wraps at its own width; a log has none.
        self.console.print(f"[dim]{self.seconds:6.1f} s[/dim]  {escape(text)}", soft_wrap=not self.console.is_terminal)

    @asynccontextmanager
    async def watching(self, look: Look) -> AsyncIterator[None]:
        """Show the tiers while the block runs.

        Args:
            look: reads the tiers as they are now.
        """
        watcher = asyncio.create_task(self._draw(look) if self.console.is_terminal else self._write(look))
        try:
            yield
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def _draw(self, look: Look) -> None:
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while True:
                with suppress(ServiceUnavailable):
                    live.update(self._picture(await look()), refresh=True)
                await asyncio.sleep(_REDRAW_S)

    async def _write(self, look: Look) -> None:
        last = ""
        while True:
            await asyncio.sleep(_LINE_EVERY_S)
            with suppress(ServiceUnavailable):
                line = self.as_line(await look())
                if line != last:
                    self.say(line)
                last = line

    def as_line(self, views: Sequence[TierView]) -> str:
        """The tiers with something to tell, in one line."""
        told = [f"{self.scores.finished}/{self.scores.submitted} jobs"]
        for view in views:
            if view.waiting or view.in_flight or view.state != "open":
                answered = self.scores.answered[view.tier]
                told.append(
                    f"{view.tier}: {answered} answered, {view.in_flight} in flight, {view.waiting} waiting, "
                    f"{view.refused} refused, {view.state}"
                )
        return " | ".join(told)

    def _picture(self, views: Sequence[TierView]) -> Group:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("tier", "queued", "in flight", "answered", "429s", "workers"):
            table.add_column(name, justify="left" if name == "tier" else "right", min_width=8)
        table.add_column("state", min_width=30)
        for view in views:
            numbers = (view.waiting, view.in_flight, self.scores.answered[view.tier], view.refused, view.workers)
            colour = "green" if view.state == "open" else "yellow"
            table.add_row(view.tier, *(str(number) for number in numbers), Text(view.state, style=colour))
        progress = Table.grid(padding=(0, 2))
        progress.add_row(
            ProgressBar(total=max(1, self.scores.submitted), completed=self.scores.finished, width=40),
            f"{self.scores.finished}/{self.scores.submitted} jobs",
            f"{self.seconds:.0f} s",
        )
        return Group(Text(), table, progress)
