"""The demo's stage: vendors, Redis, workers and recorder as real processes, and a producer in front of them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pointsman_producer import Producer, Receipt
from pointsman_queue import Settings
from pointsman_routes import Job, PointsmanError, Result, RouteTable

from .composition import Line, load_table, open_line
from .demo_config import config_text, made_up_keys
from .demo_screen import DemoScreen, TierView
from .demo_vendors import Vendor, VendorPlan, running_vendors
from .embedded_redis import embedded_redis
from .service_commands import environment_of
from .supervisor import Supervisor

_PLANS = {
    "openai": VendorPlan(path="/v1", options=("--rpm", "60", "--latency-ms", "60")),
    "anthropic": VendorPlan(path="/anthropic", options=("--latency-ms", "120")),
    "local": VendorPlan(path="/v1", options=("--latency-ms", "150", "--response-style", "echo")),
}
_OPERATOR = "demo operator"
_PATIENCE_S = 120.0
"""For anything the demo waits for. Far more than it takes: a busy machine must not fail it."""
_LOOK_S = 0.1
_STOP_S = 20.0


class DemoStuck(PointsmanError):
    """Something the demo waits for does not happen."""


class Stage:
    """What scenes are played on; keeps every receipt and result for the proof at the end."""

    def __init__(
        self,
        screen: DemoScreen,
        settings: Settings,
        table: RouteTable,
        line: Line,
        vendors: Mapping[str, Vendor],
        supervisor: Supervisor,
    ) -> None:
        self.screen = screen
        self.settings = settings
        self.table = table
        self.vendors = vendors
        self.receipts: list[Receipt] = []
        self.prompts: dict[str, str] = {}
        """What each job asked, by its id."""
        self.results: list[Result] = []
        self._line = line
        self._producer = Producer(line.jobs, table)
        self._supervisor = supervisor

    async def submit(self, jobs: Iterable[Job]) -> list[Receipt]:
        """Hand in jobs, each class as a batch of its own."""
        handed = list(jobs)
        receipts = await self._producer.submit(handed, batch_id=f"demo-{handed[0].task_class}")
        self.receipts += receipts
        self.screen.scores.submitted += len(receipts)
        for receipt, job in zip(receipts, handed, strict=True):
            self.prompts[receipt.job_id] = job.messages[-1].text
        return receipts

    async def follow(self, receipts: Iterable[Receipt]) -> AsyncIterator[Result]:
        """Hand out results as jobs finish."""
        async for result in self._producer.results(receipts, timeout=_PATIENCE_S):
            self.results.append(result)
            self.screen.scores.finished += 1
            if result.pointsman.served is not None:
                self.screen.scores.answered[result.pointsman.served.tier] += 1
            yield result

    async def answers(self, receipts: Iterable[Receipt]) -> list[Result]:
        """Wait for all results."""
        return [result async for result in self.follow(receipts)]

    async def switch_off(self, tier: str, reason: str) -> None:
        """What `pointsman routes disable` does."""
        await self._line.switchboard.disable(self.table, tier, reason=reason, by=_OPERATOR)

    async def switch_on(self, tier: str) -> None:
        """What `pointsman routes enable` does."""
        await self._line.switchboard.enable(self.table, tier, reason="done", by=_OPERATOR)

    def kill_worker(self, tier: str) -> int:
        """Kill a tier's worker with SIGKILL; the supervisor starts another. Gives the dead one's process id."""
        pid = self._supervisor.pid(f"worker {tier}")
        if pid is None:
            raise DemoStuck(f"the worker of {tier} does not run; see {self.logs}")
        os.kill(pid, signal.SIGKILL)
        return pid

    async def look(self) -> list[TierView]:
        """The tiers as they are now."""
        overview = await self._line.observer.overview(list(self.table.tiers))
        gates = await self._line.switchboard.gates(list(self.table.tiers))
        return [
            TierView(
                tier=load.tier,
                waiting=load.queued + load.delayed + load.held,
                in_flight=load.leased,
                refused=gates[load.tier].throttles,
                gate=gates[load.tier],
                workers=sum(load.tier in health.get("tiers", {}) for health in overview.workers.values()),
            )
            for load in overview.tiers
        ]

    async def view(self, tier: str) -> TierView:
        """One tier as it is now."""
        return next(view for view in await self.look() if view.tier == tier)

    async def outbox_empty(self) -> bool:
        """Whether every record is in the ledger."""
        return (await self._line.observer.overview([])).outbox == 0

    async def until(self, what: str, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait for a condition.

        Raises:
            DemoStuck: it does not come to be.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    if await condition():
                        return
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise DemoStuck(f"after {_PATIENCE_S:.0f} s still waiting for {what}; see {self.logs}") from None

    @property
    def logs(self) -> Path:
        """Where the processes write what they have to say."""
        return self.settings.home / "logs"


@asynccontextmanager
async def open_stage(settings: Settings, screen: DemoScreen) -> AsyncIterator[Stage]:
    """Start everything and wait until it is up; at the end stop workers and recorder, then Redis, then the vendors.

    Raises:
        ServiceUnavailable: something does not start.
        ChildRefused: a worker does not accept its configuration.
    """
    logs = settings.home / "logs"
    async with running_vendors(_PLANS, logs) as vendors:
        urls = {name: vendor.base_url for name, vendor in vendors.items()}
        settings.config.write_text(config_text(urls), encoding="utf-8")
        table = load_table(settings)
        commands = {"recorder": ["recorder"], **{f"worker {tier}": ["worker", tier] for tier in table.tiers}}
        with (logs / "line.log").open("ab") as errors:
            supervisor = Supervisor({**environment_of(settings), **made_up_keys()}, errors=errors)
            async with embedded_redis(settings), _kept(supervisor, commands), open_line(settings) as line:
                stage = Stage(screen, settings, table, line, vendors, supervisor)
                await stage.until("the vendors", lambda: _all_up(vendors))
                await stage.until("the workers", lambda: _all_served(stage))
                yield stage


@asynccontextmanager
async def _kept(supervisor: Supervisor, commands: Mapping[str, list[str]]) -> AsyncIterator[None]:
    """Keep children running during the block; a child that refuses to start ends the block."""
    try:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(supervisor.keep(commands))
            try:
                yield
            finally:
                await supervisor.stop(grace_s=_STOP_S)
                keeping.cancel()
    except* PointsmanError as errors:
        raise errors.exceptions[0] from None


async def _all_up(vendors: Mapping[str, Vendor]) -> bool:
    return all([await vendor.answers() for vendor in vendors.values()])


async def _all_served(stage: Stage) -> bool:
    return all(view.workers for view in await stage.look())
