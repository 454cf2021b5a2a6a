"""Random tampering with copies of ledgers: every one must be found, no honest ledger may be suspected.

    figures = await run(10_000, 1_000, seed=1)

A tamperer changes a copy and says nothing of where: the true first bad record is the lowest number at which the copy
differs from the original.
"""

import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger_copy import BODY, FACET_ID, HASH, TABLES, Copy, Workplace, made

from pointsman_audit import GENESIS, Ledger, Verdict, canonical, text_hash
from pointsman_audit.columns import Facet, columns_of
from pointsman_routes import RecordKind

_IN_DATABASE = 25
"""One in so many tamperings is also done to a database and found by an examination of it."""
_PER_LEDGER = 10
_SIZES = (30, 200)

Tamper = Callable[[Copy, random.Random], None]


# What a tamperer does to single records.


def seq_of(copy: Copy, rng: random.Random, *, last: int | None = None) -> int:
    """Some record's number."""
    return rng.randint(1, last or len(copy.records))


def lie(text: str, rng: random.Random) -> str:
    """The record with something else in it."""
    body = json.loads(text)
    names = [name for name in body if name not in ("seq", "prev_hash", "kind") and type(body[name]) in (str, int)]
    name = rng.choice(names)
    body[name] = body[name] + 1 if type(body[name]) is int else f"{body[name]}x"
    return canonical(body)


def reset(row: list[Any], *, seq: int | None = None, prev_hash: str | None = None) -> None:
    """Change number or predecessor in a record's text and make its hash right."""
    body = json.loads(row[BODY])
    if seq is not None:
        row[0] = body["seq"] = seq
    if prev_hash is not None:
        body["prev_hash"] = prev_hash
    row[BODY] = canonical(body)
    row[HASH] = text_hash(row[BODY])


def fit_columns(copy: Copy, row: list[Any]) -> None:
    """Make a record's columns what its text says."""
    body = json.loads(row[BODY])
    facet, *others = columns_of(RecordKind(body["kind"]), body)
    number = next((known[0] for known in copy.facets if Facet(*known[2:]) == facet), None)
    if number is None:
        number = len(copy.facets) + 1
        copy.facets.append([number, facet.key, *facet])
    row[1:HASH] = [number, *others]


def relink(copy: Copy, first: int, last: int | None = None) -> None:
    """Number and chain anew from a record on, as its writer would have."""
    prev = copy.records[first - 2][HASH] if first > 1 else GENESIS
    for seq, row in enumerate(copy.records[first - 1 : last], start=first):
        reset(row, seq=seq, prev_hash=prev)
        prev = row[HASH]


def right_head(copy: Copy) -> None:
    """Let the ledger say that it ends where it does."""
    copy.ledger_head[0][2:] = [copy.records[-1][0], copy.records[-1][HASH]] if copy.records else [0, GENESIS]


def renumber(copy: Copy, first: int, *, inside: bool) -> None:
    """Close or open ranks; with `inside` in the records' texts too, each with a hash that fits."""
    for seq, row in enumerate(copy.records[first - 1 :], start=first):
        if inside:
            reset(row, seq=seq)
        else:
            row[0] = seq


# Tamperings, by name. Those in `EXACT` leave enough to tell which record was the first.


def edit_text(copy: Copy, rng: random.Random) -> None:
    """Another text."""
    row = copy.records[seq_of(copy, rng) - 1]
    row[BODY] = rng.choice([lie(row[BODY], rng), row[BODY][:-1], "", "[]", row[BODY] + " ", "null"])


def edit_hash(copy: Copy, rng: random.Random) -> None:
    """Another hash beside the text."""
    copy.records[seq_of(copy, rng) - 1][HASH] = f"{rng.getrandbits(256):064x}"


def edit_text_and_hash(copy: Copy, rng: random.Random) -> None:
    """Another text and its hash."""
    row = copy.records[seq_of(copy, rng) - 1]
    row[BODY] = lie(row[BODY], rng)
    row[HASH] = text_hash(row[BODY])


def edit_all(copy: Copy, rng: random.Random) -> None:
    """Another text, its hash and its columns."""
    row = copy.records[seq_of(copy, rng) - 1]
    row[BODY] = lie(row[BODY], rng)
    row[HASH] = text_hash(row[BODY])
    fit_columns(copy, row)


def edit_link(copy: Copy, rng: random.Random) -> None:
    """Another predecessor."""
    reset(copy.records[seq_of(copy, rng) - 1], prev_hash=f"{rng.getrandbits(256):064x}")


def edit_column(copy: Copy, rng: random.Random) -> None:
    """A column alone."""
    row = copy.records[seq_of(copy, rng) - 1]
    place = rng.randrange(FACET_ID + 1, HASH)
    was = row[place]
    text = TABLES["records"][place] in ("job_id", "batch_id", "custom_id")
    if was is None:
        row[place] = "x" if text else 1
    else:
        row[place] = rng.choice([None, f"{was}x" if text else was + 1]) if place > FACET_ID + 1 else was + 1


def edit_facet_number(copy: Copy, rng: random.Random) -> None:
    """A record counted under other words."""
    row = copy.records[seq_of(copy, rng) - 1]
    row[FACET_ID] += rng.choice([-1, 1])


def edit_facet(copy: Copy, rng: random.Random) -> None:
    """The words of all records that have them."""
    used = {row[FACET_ID] for row in copy.records}
    row = rng.choice([facet for facet in copy.facets if facet[0] in used])
    place = rng.randrange(2, len(row))
    row[place] = not row[place] if isinstance(row[place], bool) else f"{row[place] or ''}x"
    if rng.random() < 0.5:
        row[1] = Facet(*row[2:]).key


def rewrite_stretch(copy: Copy, rng: random.Random) -> None:
    """A record, and some after it so that they fit."""
    seq = seq_of(copy, rng, last=len(copy.records) - 2)
    row = copy.records[seq - 1]
    row[BODY] = lie(row[BODY], rng)
    fit_columns(copy, row)
    relink(copy, seq, rng.randint(seq + 1, len(copy.records) - 1))


def rewrite_rest(copy: Copy, rng: random.Random) -> None:
    """A record, and all after it so that they fit, and the ledger's word about its end."""
    seq = seq_of(copy, rng, last=copy.signed[-1])
    row = copy.records[seq - 1]
    row[BODY] = lie(row[BODY], rng)
    fit_columns(copy, row)
    relink(copy, seq)
    right_head(copy)


def _delete(copy: Copy, rng: random.Random, *, left: int = 1) -> int:
    seq = seq_of(copy, rng, last=len(copy.records) - left)
    del copy.records[seq - 1 : min(seq - 1 + rng.choice([1, 1, rng.randint(2, 20)]), len(copy.records) - left)]
    return seq


def delete(copy: Copy, rng: random.Random) -> None:
    """Some records."""
    _delete(copy, rng)


def delete_and_close(copy: Copy, rng: random.Random) -> None:
    """Some records; the others move up."""
    renumber(copy, _delete(copy, rng), inside=False)
    if rng.random() < 0.5:
        right_head(copy)


def delete_and_renumber(copy: Copy, rng: random.Random) -> None:
    """Some records; the others, two or more, move up, in their texts too."""
    # With but one, nothing but itself would say that it is it that does not fit.
    renumber(copy, _delete(copy, rng, left=2), inside=True)
    if rng.random() < 0.5:
        right_head(copy)


def delete_and_relink(copy: Copy, rng: random.Random) -> None:
    """Some records; the others are chained anew."""
    relink(copy, _delete(copy, rng, left=max(1, len(copy.records) - copy.signed[-1])))
    right_head(copy)


def _insert(copy: Copy, rng: random.Random, last: int) -> int:
    seq = seq_of(copy, rng, last=last)
    forged = list(rng.choice(copy.records))
    forged[BODY] = lie(forged[BODY], rng)
    copy.records.insert(seq - 1, forged)
    reset(forged, seq=seq, prev_hash=copy.records[seq - 2][HASH] if seq > 1 else GENESIS)
    fit_columns(copy, forged)
    return seq


def insert_and_shift(copy: Copy, rng: random.Random) -> None:
    """A record that fits; the others move down."""
    renumber(copy, _insert(copy, rng, len(copy.records)) + 1, inside=False)
    if rng.random() < 0.5:
        right_head(copy)


def insert_and_renumber(copy: Copy, rng: random.Random) -> None:
    """A record that fits; the others move down, in their texts too."""
    renumber(copy, _insert(copy, rng, len(copy.records)) + 1, inside=True)
    if rng.random() < 0.5:
        right_head(copy)


def insert_and_relink(copy: Copy, rng: random.Random) -> None:
    """A record; the others are chained behind it."""
    relink(copy, _insert(copy, rng, copy.signed[-1]) + 1)
    right_head(copy)


def append_forged(copy: Copy, rng: random.Random) -> None:
    """A record that fits, after the last one."""
    row = list(rng.choice(copy.records))
    reset(row, seq=len(copy.records) + 1, prev_hash=copy.records[-1][HASH])
    copy.records.append(row)


def _two(copy: Copy, rng: random.Random, *, last: int | None = None) -> tuple[int, int]:
    first = seq_of(copy, rng, last=min(last or len(copy.records), len(copy.records) - 1))
    return first, rng.choice([first + 1, rng.randint(first + 1, len(copy.records))])


def swap_texts(copy: Copy, rng: random.Random) -> None:
    """Two texts, with or without their hashes."""
    one, two = (copy.records[seq - 1] for seq in _two(copy, rng))
    for place in rng.choice([(BODY,), (BODY, HASH)]):
        one[place], two[place] = two[place], one[place]


def swap_rows(copy: Copy, rng: random.Random) -> None:
    """Two records change numbers."""
    one, two = (copy.records[seq - 1] for seq in _two(copy, rng))
    one[0], two[0] = two[0], one[0]


def _swap(copy: Copy, one: int, two: int) -> None:
    rows = copy.records
    rows[one - 1], rows[two - 1] = rows[two - 1], rows[one - 1]


def swap_and_renumber(copy: Copy, rng: random.Random) -> None:
    """Two records change numbers, in their texts too."""
    for_two = one, two = _two(copy, rng)
    _swap(copy, *for_two)
    reset(copy.records[one - 1], seq=one)
    reset(copy.records[two - 1], seq=two)


def swap_and_relink(copy: Copy, rng: random.Random) -> None:
    """Two records change places; all from the first on are chained anew."""
    one, two = _two(copy, rng, last=copy.signed[-1])
    _swap(copy, one, two)
    relink(copy, one)
    right_head(copy)


def cut(copy: Copy, rng: random.Random) -> None:
    """The end."""
    del copy.records[seq_of(copy, rng) - 1 :]


def cut_and_tell(copy: Copy, rng: random.Random) -> None:
    """The end, signed records among it, and the ledger's word about it."""
    del copy.records[seq_of(copy, rng, last=copy.signed[-1]) - 1 :]
    right_head(copy)


def cut_and_rewrite(copy: Copy, rng: random.Random) -> None:
    """The end, signed records among it; one of the others, and all after it."""
    del copy.records[seq_of(copy, rng, last=copy.signed[-1]) :]
    row = copy.records[seq_of(copy, rng) - 1]
    seq = row[0]
    row[BODY] = lie(row[BODY], rng)
    fit_columns(copy, row)
    relink(copy, seq)
    right_head(copy)


EXACT: tuple[Tamper, ...] = (
    edit_text, edit_hash, edit_text_and_hash, edit_all, edit_link, edit_column, edit_facet_number, edit_facet,
    delete, delete_and_close, delete_and_renumber, insert_and_shift, insert_and_renumber, append_forged, swap_texts,
    swap_rows, swap_and_renumber, cut, cut_and_tell,
)  # fmt: skip
"""What is left shows the first bad record."""
SOMEWHERE: tuple[Tamper, ...] = (
    rewrite_stretch, rewrite_rest, delete_and_relink, insert_and_relink, swap_and_relink, cut_and_rewrite,
)  # fmt: skip
"""Nobody can tell but between which two numbers."""


@dataclass(kw_only=True)
class Figures:
    """What came out."""

    tamperings: int = 0
    found: int = 0
    exact: int = 0
    """The first bad record was named."""
    within: int = 0
    """It was within the range that was named."""
    wrong: list[str] = field(default_factory=list)
    """Not found, or the wrong record named: by which tamperer, and what was said."""
    honest: int = 0
    false_alarms: list[str] = field(default_factory=list)
    by_kind: Counter[str] = field(default_factory=Counter)

    def judge(self, tamper: Tamper, original: Copy, changed: Copy, verdict: Verdict) -> None:
        """Hold a verdict against the truth."""
        self.tamperings += 1
        self.by_kind[tamper.__name__] += 1
        self.found += not verdict.ok
        truth = original.first_bad(changed)
        good = max((seq for seq in original.signed if truth is not None and seq < truth), default=0)
        low, high = verdict.between or (0, 0)
        if truth is None or not good < low <= truth <= high or (tamper in EXACT and verdict.first_bad_seq != truth):
            self.wrong.append(f"{tamper.__name__}: {truth} of {len(original.records)}, {verdict.findings[:2]}")
        elif verdict.first_bad_seq == truth:
            self.exact += 1
        else:
            self.within += 1


async def run(tamperings: int, honest_ledgers: int, seed: int) -> Figures:
    """Make honest ledgers, examine them, tamper with copies of them, examine these.

    Args:
        tamperings: how many.
        honest_ledgers: on SQLite, of 30 to 200 records.
        seed: of everything random but the keys.
    """
    figures, rng = Figures(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "template.db"
        async with Ledger.open(f"sqlite:///{template}", make=True):
            pass
        for number in range(honest_ledgers):
            path = Path(folder) / f"{number}.db"
            shutil.copy(template, path)
            # Every ledger is tampered with about as often.
            share = (number + 1) * tamperings // honest_ledgers - number * tamperings // honest_ledgers
            await tamper_with(f"sqlite:///{path}", share, figures, rng)
            path.unlink()
    return figures


async def tamper_with(
    url: str, times: int, figures: Figures, rng: random.Random, *, in_database: int = _IN_DATABASE
) -> None:
    """Fill an empty ledger, and tamper with it: in memory, and one in so many times in its database."""
    original = await made(url, rng.randint(*_SIZES), rng)
    place = Workplace(url)
    honest = [original.verdict(), await place.examined(original)]
    figures.honest += 1
    figures.false_alarms += [str(verdict.findings) for verdict in honest if not verdict.ok]
    await place.open_to_changes()
    for _ in range(times):
        tamper = rng.choice(EXACT + SOMEWHERE)
        changed = original.twin()
        tamper(changed, rng)
        verdict = changed.verdict() if rng.randrange(in_database) else await place.verdict(changed)
        figures.judge(tamper, original, changed, verdict)
    await place.close()
