"""`make bench-ledger`: prints a table and says what it ran on. Exit 1 if a target was missed.

Recording: a real `pointsman recorder` empties an outbox that has been filled while it was stopped. Pages: the newest
hundred records that answer each of some fifty questions. Tamperings: on copies of small ledgers, by chance.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Sequence

from ledger_filling import fill

from benchmarks import rig
from benchmarks.measurement import Measurement, percentile
from benchmarks.reporting import hush, print_table, ran_on

from . import recording
from .asking import first_pages, summary
from .databases import Database, database, names
from .verifying import tamper, verify

PARTS = ("record", "live", "pages", "tamper")
_TARGETS = {"SQLite": 10_000, "PostgreSQL": 5_000}
_ROUNDS = 10
_JOBS_PER_S = 500
_LIVE_S = 60.0
_BEHIND = 2 * _JOBS_PER_S * recording.RECORDS_OF_JOB
"""Records that wait: two seconds' worth is behind."""
_PAGE_MS = 50.0
_VERIFIED = 1_000_000
_TAMPERINGS, _HONEST = 10_000, 1_000


def say(text: str) -> None:
    """What is going on, on standard error."""
    sys.stderr.write(f"{text}\n")


async def record(place: Database, redis_url: str, records: int) -> list[Measurement]:
    """How fast, with and without content, and in how much memory."""
    found = []
    for contents in (False, True):
        with_what = "prompts and answers kept" if contents else "records alone"
        say(f"{place.name}: recording {records:,} records, {with_what}")
        told = await recording.sustained(
            place, redis_url, rounds=_ROUNDS, records=records // _ROUNDS, contents=contents
        )
        target = _TARGETS[place.name]
        found.append(
            line(f"recording, {place.name}, {with_what}", f"{told.per_second:,.0f}/s", f">= {target:,}/s",
                 told.per_second >= target)
        )  # fmt: skip
        # Half of them: the first rounds fill caches.
        early, late = max(told.resident[: _ROUNDS // 2]), max(told.resident)
        memory = f"{told.resident[0]} to {told.resident[-1]} MB, {late} at most"
        found.append(line(f"memory over {told.records:,} records", memory, "flat", late <= early * 1.1))
    return found


async def live(place: Database, redis_url: str) -> list[Measurement]:
    """Whether it keeps up."""
    say(f"{place.name}: {_JOBS_PER_S} jobs a second for {_LIVE_S:.0f} s")
    waiting = await recording.live(place, redis_url, jobs_per_s=_JOBS_PER_S, seconds=_LIVE_S)
    worst = max(waiting)
    shown = f"p99 {percentile([float(value) for value in waiting], 0.99):,.0f} waiting, {worst:,} at most"
    what = f"{_JOBS_PER_S} jobs/s, {recording.RECORDS_OF_JOB} records each, {place.name}"
    return [line(what, shown, f"< {_BEHIND:,} waiting", worst < _BEHIND)]


async def pages(place: Database, records: int) -> list[Measurement]:
    """First pages of a large ledger, and how long it takes to verify it."""
    say(f"{place.name}: filling {records:,} records")
    filled = await fill(place.url, records, seed=1)
    say(f"{place.name}: asking")
    every, slowest, name = summary(await first_pages(place.url, filled))
    shown = f"p95 {every:.1f} ms; slowest question {slowest:.1f} ms ({name})"
    found = [
        line(f"first page, {filled.records:,} records, {place.name}", shown, f"< {_PAGE_MS:.0f} ms", slowest < _PAGE_MS)
    ]
    say(f"{place.name}: verifying")
    verified = await verify(place.url)
    shown = f"{verified.a_minute:,.0f} a minute"
    found.append(
        line(f"audit verify, {place.name}", shown, f">= {_VERIFIED:,} a minute", verified.a_minute >= _VERIFIED)
    )
    return found


async def tamperings(seed: int) -> list[Measurement]:
    """Whether every change is found, and nothing else."""
    figures = await tamper(_TAMPERINGS, _HONEST, seed, say)
    shown = (
        f"{figures.found:,} of {figures.tamperings:,} found: {figures.exact:,} exactly, {figures.within:,} in a range"
    )
    whole = figures.found == figures.tamperings and not figures.wrong
    alarms = f"{len(figures.false_alarms)} false alarms in {figures.honest:,}"
    return [
        line(f"tamperings, seed {seed}", shown, "all", whole),
        line("honest ledgers", alarms, "0", not figures.false_alarms),
    ]  # fmt: skip


def line(what: str, ours: str, target: str, reached: bool) -> Measurement:
    """A row of the table."""
    return Measurement(what=what, ours=ours, baseline="", ratio="", target=target, reached=reached)


def measure(parts: Sequence[str], chosen: Sequence[str], records: int, seed: int) -> list[Measurement]:
    """Run the parts one after the other, each on databases of its own."""
    found: list[Measurement] = []
    with rig.redis_server() as url:
        on_redis: dict[str, Callable[[Database], list[Measurement]]] = {
            "record": lambda place: asyncio.run(record(place, url, min(records, 1_000_000))),
            "live": lambda place: asyncio.run(live(place, url)),
            "pages": lambda place: asyncio.run(pages(place, records)),
        }
        for part in parts:
            for name in names(chosen) if part in on_redis else ():
                with database(name) as place:
                    found += on_redis[part](place)
    if "tamper" in parts:
        found += asyncio.run(tamperings(seed))
    return found


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all when none is named")
    parser.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=[])
    parser.add_argument("--records", type=int, default=5_000_000, help="in the ledger that is asked")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    hush()
    with rig.redis_server() as url:
        place = asyncio.run(ran_on(url))
    found = measure(asked.parts or PARTS, asked.databases, asked.records, asked.seed)
    rows = [(entry.what, entry.ours, entry.target, "yes" if entry.reached else "NO") for entry in found]
    print_table(place, ("what", "ours", "target", "reached"), rows)
    return 0 if all(entry.reached for entry in found) else 1


if __name__ == "__main__":
    sys.exit(main())
