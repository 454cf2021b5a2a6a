"""How close to a vendor's limit the workers drive, and others beside them; a table. Exit 1 if a target was missed.

Ideal: the shortest time the vendor's limit allows for the jobs that were answered; what its bucket holds goes at once,
the rest at its rate. Measured: from the first call to the last one admitted, in the vendor's own list. Share: ideal
to measured. The others, a loop as vendors' cookbooks show it and the vendor's own SDK, have no part in the exit code.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import rig
from benchmarks.reporting import hush, print_table, ran_on

from . import other_side, our_line
from .contest import Contest
from .contests import contests
from .prompts import tokens_of
from .run import End, MeasurementFailed, Run
from .vendors import Vendor, vendor

_OURS = "pointsman"
_EVERYBODY = (_OURS, *other_side.OTHERS)
_COLUMNS = ("case", "who", "ideal s", "measured s", "share", "lost", "429s", "target", "reached", "besides")
_BOUND_S, _BOUND_FACTOR = 60.0, 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table."""

    contest: Contest
    who: str
    run: Run | None
    """None: it could not be measured."""

    @property
    def reached(self) -> bool:
        """Whether the target is."""
        return self.run is not None and self.contest.target.reached_by(self.run)

    def cells(self) -> tuple[str, ...]:
        """As printed."""
        verdict = "yes" if self.reached else "NO"
        if self.run is None:
            return (self.contest.title, self.who, "", "", "", "", "", str(self.contest.target), verdict, "not measured")
        run = self.run
        return (
            self.contest.title,
            self.who,
            f"{run.ideal_s:.1f}",
            f"{run.measured_s:.1f}",
            f"{run.share:.3f}",
            f"{run.lost:,}",
            f"{run.refused:,} ({run.refused_share:.2%})",
            str(self.contest.target),
            verdict,
            self._besides(run),
        )

    def _besides(self, run: Run) -> str:
        said = ["took too long, stopped"] if run.end.stopped else []
        if self.contest.target.window:
            said.append(f"busiest 60 s: {run.busiest_minute:,} of {self.contest.target.window:,}")
        if self.contest.target.thirds:
            shares = ", ".join(f"{model} {share:.0%}" for model, share in run.middle.items())
            said.append(f"middle third: {shares}")
        return "; ".join(said)


def compete(contest: Contest, url: str, wanted: Sequence[str], calls_to: Path | None) -> Iterator[Line]:
    """Run a contest for whoever is wanted and takes part, each against a vendor of its own with fresh limits.

    Args:
        contest: what to run.
        url: of a Redis, which is emptied.
        wanted: who.
        calls_to: a folder for the vendor's list of calls in each run.
    """
    jobs = contest.jobs()
    count, tokens = len(jobs), sum(tokens_of(job) for job in jobs)
    bound_s = _BOUND_S + _BOUND_FACTOR * contest.vendor.ideal_s(count, tokens)

    def ours(against: Vendor, folder: Path) -> End:
        return asyncio.run(_ours(contest, against, url, folder, bound_s))

    def others(who: str) -> Callable[[Vendor, Path], End]:
        return lambda against, _: other_side.drive(who, contest, against, count, bound_s=bound_s)

    drivers: dict[str, Callable[[Vendor, Path], End]] = {_OURS: ours}
    if contest.others:
        drivers |= {who: others(who) for who in other_side.OTHERS}
    for who in (who for who in drivers if who in wanted):
        try:
            with tempfile.TemporaryDirectory() as name, vendor(contest.vendor, Path(name)) as against:
                end = drivers[who](against, Path(name))
                ideal_s = contest.vendor.ideal_s(end.answered, tokens * end.answered / count)
                run = Run(jobs=count, end=end, ideal_s=ideal_s, calls=against.calls())
            if calls_to is not None:
                run.write_calls(calls_to / f"{contest.name}-{who}.jsonl")
            yield Line(contest=contest, who=who, run=run)
        except MeasurementFailed as error:
            print(f"{contest.name}, {who}: {error}", file=sys.stderr)
            yield Line(contest=contest, who=who, run=None)


async def _ours(contest: Contest, against: Vendor, url: str, folder: Path, bound_s: float) -> End:
    async with rig.emptied(url):
        return await our_line.drive(contest, against, url, folder, bound_s=bound_s)


def main() -> int:
    """Measure and report."""
    known = [contest.name for contest in contests()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limits",
        description=__doc__,
        epilog="\n".join(f"{contest.name:14}{contest.title}" for contest in contests()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", choices=[*known, []], metavar="CASE", help="all when none is named")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, for trying; shares are rough")
    parser.add_argument("--who", action="append", choices=_EVERYBODY, help="only them; repeat it for several")
    parser.add_argument("--calls", type=Path, metavar="FOLDER", help="where to write the vendor's list of calls")
    args = parser.parse_args()
    hush()
    if args.calls is not None:
        args.calls.mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    with rig.redis_server() as url:
        place = asyncio.run(ran_on(url))
        for contest in contests(quick=args.quick):
            if contest.name in (args.cases or known):
                lines += compete(contest, url, args.who or _EVERYBODY, args.calls)
    print_table(place, _COLUMNS, [line.cells() for line in lines])
    return 0 if all(line.reached for line in lines if line.who == _OURS) else 1


if __name__ == "__main__":
    sys.exit(main())
