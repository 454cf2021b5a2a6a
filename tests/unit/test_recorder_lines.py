"""What `status` says of recorders: how each fares, what they count, and that there is none."""

from typing import Any

import pytest

from pointsman_console.recorder_lines import line_counts, recorder_lines
from pointsman_queue import Overview

SOUND = {"seq": 12_345, "per_s": 1200.5, "quarantined": 0, "stranded": 0, "unsigned": 7, "quiet_s": 0.4}
TROUBLED = (
    "2 quarantined entries (see `pointsman audit list --kind quarantined`); "
    "4 stranded jobs (see `pointsman audit reconcile --dry-run`); 7 records not yet signed"
)


def overview(outbox: int = 0, **recorders: dict[str, Any]) -> Overview:
    """A line with these recorders."""
    return Overview(tiers=(), held=3, outbox=outbox, workers={}, recorders=recorders)


@pytest.mark.parametrize(
    ("seen", "lines"),
    [
        (overview(), ["no recorder is running; start one with `pointsman recorder`"]),
        (
            overview(1200),
            ["no recorder is running, and 1,200 records wait for one; start one with `pointsman recorder`"],
        ),
        (
            overview(5, r1=SOUND),
            [
                "recorder r1: 1,200.5 records a second, at record 12,345",
                "0 quarantined entries; 0 stranded jobs; 7 records not yet signed",
            ],
        ),
        (
            overview(r1=SOUND | {"quarantined": 2, "stranded": 1}, r2=SOUND | {"quiet_s": 75.0, "stranded": 4}),
            [
                "recorder r1: 1,200.5 records a second, at record 12,345",
                "recorder r2: has not got on for 1m15s; its log says what it waits for",
                TROUBLED,
            ],
        ),
        (
            overview(r1={"quiet_s": 0.0, "seq": None, "per_s": None, "quarantined": None}),
            [
                "recorder r1: ? records a second, at record ?",
                "? quarantined entries; ? stranded jobs; ? records not yet signed",
            ],
        ),
    ],
    ids=["none", "none, and records wait", "one", "two, with trouble", "one that knows nothing yet"],
)
def test_lines(seen: Overview, lines: list[str]) -> None:
    """Each recorder has a line, counts follow, trouble says where to look; without a recorder the remedy is there."""
    assert list(recorder_lines(seen)) == lines


@pytest.mark.parametrize(("quiet_s", "told"), [(9.9, False), (10.0, True)])
def test_quiet_recorder(quiet_s: float, *, told: bool) -> None:
    """A recorder gets a word once it has not got on for ten seconds, and no sooner."""
    first = next(iter(recorder_lines(overview(r1=SOUND | {"quiet_s": quiet_s}))))
    assert ("has not got on" in first) == told


def test_unknown_is_not_none() -> None:
    """Without a recorder nobody knows the counts; of several, what one does not know the others tell."""
    unknown = {"quarantined": None, "stranded": None, "unsigned": None}
    assert line_counts(overview(9)) == {"held": 3, "unrecorded": 9, "recorders": 0, **unknown}
    told = line_counts(overview(r1=SOUND, r2=unknown, r3={}))
    assert told == {"held": 3, "unrecorded": 0, "recorders": 3, "quarantined": 0, "stranded": 0, "unsigned": 7}
