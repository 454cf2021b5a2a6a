"""The demo's four scenes. Each waits for what it shows to have happened; none relies on a machine's speed."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

from pointsman_routes import PointsmanError, Result

from .demo_jobs import reasoning_jobs, synthesis_jobs, triage_jobs
from .demo_stage import Stage

FAST, STRONG, HOUSE = "openai/fast", "anthropic/strong", "local/house"
THROTTLED_JOBS = 72
REFUSED_CALLS, REFUSED_S = 3, 2.0
CUT_JOBS = 4
STALL_S = 10.0
"""How long the vendor takes over the calls to be cut: enough for them to be under way, and less than a lease."""
BEFORE_OUTAGE, DURING_OUTAGE = 12, 24
BEFORE_SWITCH, AFTER_SWITCH, BACK_AGAIN = 24, 10, 4


async def play(stage: Stage) -> None:
    """Play all scenes. The jobs cut off in the second come back while the others are played."""
    try:
        async with stage.screen.watching(stage.look), asyncio.TaskGroup() as group:
            await throttled_vendor(stage)
            killed = await killed_worker(stage, group)
            await vendor_outage(stage)
            await switched_off(stage)
            if not killed.done():
                stage.screen.say("still waiting for the jobs of the killed worker: a lease runs for 15 s")
    except* PointsmanError as errors:
        raise errors.exceptions[0] from None


async def throttled_vendor(stage: Stage) -> None:
    """More triage than the vendor grants: 429s, a closed bucket, and nobody loses anything.

    Its headers would spare it the 429s, so it refuses the first calls for no reason, as vendors do.
    """
    screen = stage.screen
    screen.scene(
        1, f"Triage: {THROTTLED_JOBS} jobs, a vendor that grants 60 a minute, a configuration that hopes for more"
    )
    await stage.vendors["openai"].refuse(times=REFUSED_CALLS, retry_after=REFUSED_S)
    results = await stage.answers(await stage.submit(triage_jobs(THROTTLED_JOBS)))
    refused = (await stage.view(FAST)).refused
    screen.say(f"{_answered(results)}; the vendor refused {refused} calls with 429, and each waited as it was told;")
    screen.say("from then on its headers said what was left, and that was kept to")


async def killed_worker(stage: Stage, group: asyncio.TaskGroup) -> asyncio.Task[None]:
    """A worker dies in the middle of calls: their leases run out, and another worker asks again."""
    screen = stage.screen
    screen.scene(2, f"A worker is killed in the middle of {CUT_JOBS} calls")
    vendor = stage.vendors["openai"]
    await vendor.stall(STALL_S, times=CUT_JOBS)
    receipts = await stage.submit(triage_jobs(CUT_JOBS, first=THROTTLED_JOBS + 1))

    async def all_arrived() -> bool:
        return await vendor.scripted() == 0

    await stage.until("the calls to be cut to reach the vendor", all_arrived)
    pid = stage.kill_worker(FAST)
    began = time.monotonic()
    screen.say(f"kill -9 {pid}: nobody could say good-bye; {CUT_JOBS} calls are cut. The line goes on:")

    async def come_back() -> None:
        results = await stage.answers(receipts)
        screen.say(
            f"the jobs of the killed worker are back after {time.monotonic() - began:.1f} s: {_answered(results)}"
        )

    return group.create_task(come_back())


async def vendor_outage(stage: Stage) -> None:
    """The primary goes down: the backup answers, and every answer says so."""
    screen = stage.screen
    jobs = reasoning_jobs(BEFORE_OUTAGE + DURING_OUTAGE)
    screen.scene(3, f"Reasoning: {len(jobs)} jobs, and the vendor goes down")
    screen.say(_answered(await stage.answers(await stage.submit(jobs[:BEFORE_OUTAGE]))))
    await stage.vendors["anthropic"].go_down()
    screen.say("anthropic answers 503 from now on")
    results = await stage.answers(await stage.submit(jobs[BEFORE_OUTAGE:]))
    screen.say(f"{_answered(results)}; {_reasons(results)}; all marked as below the floor of their class")
    await stage.vendors["anthropic"].come_back()
    screen.say("anthropic is back; nobody has to do anything")


async def switched_off(stage: Stage) -> None:
    """An operator switches a tier off: queued jobs move on at once, and come back when it is on again."""
    screen = stage.screen
    jobs = synthesis_jobs(BEFORE_SWITCH + AFTER_SWITCH + BACK_AGAIN)
    screen.scene(4, f"Synthesis: {len(jobs)} jobs, and an operator switches their tier off")

    async def breaker_lets_through() -> bool:
        return (await stage.view(STRONG)).gate.open

    screen.say(f"first {STRONG} must be trusted again: its breaker lets one call through 10 s after it opened")
    await stage.until("the breaker of the tier that was down", breaker_lets_through)
    receipts = await stage.submit(jobs[:BEFORE_SWITCH])
    async for _ in stage.follow(receipts[:1]):
        await stage.switch_off(HOUSE, "new weights")
    screen.say(f"pointsman routes disable {HOUSE} --reason 'new weights'")
    receipts += await stage.submit(jobs[BEFORE_SWITCH:-BACK_AGAIN])
    results = await stage.answers(receipts[1:])
    screen.say(f"{_answered(results)}; {_reasons(results)}")
    await stage.switch_on(HOUSE)
    screen.say(f"pointsman routes enable {HOUSE}")
    screen.say(_answered(await stage.answers(await stage.submit(jobs[-BACK_AGAIN:]))))


def _answered(results: Iterable[Result]) -> str:
    tiers = Counter(result.pointsman.served.tier if result.pointsman.served else "nobody" for result in results)
    return ", ".join(f"{count} answered by {tier}" for tier, count in tiers.most_common())


def _reasons(results: Iterable[Result]) -> str:
    told = (result.pointsman.fallback_reason for result in results)
    reasons = Counter(reason.value for reason in told if reason is not None)
    return "moved because " + ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
