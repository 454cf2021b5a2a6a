"""The verifier blames the right record, and nobody where nothing was changed. No database."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import tampering
from audit_records import DIGEST, NOON, accepted, entry, final, finished, started
from ledger_copy import BODY, FACET_ID, HASH, KEY, Copy

from pointsman_audit import GENESIS, Draft, Finding, Head, SigningKey, Verdict, What, link
from pointsman_audit.columns import Facet
from pointsman_audit.finding import MOST_FINDINGS
from pointsman_audit.intake import read_entry
from pointsman_routes import PolicyRecord, Wire

POLICY = "{}"
POLICY_DIGEST = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
"""SHA-256 of it."""


def kept(records: list[Wire]) -> Copy:
    """A ledger with these records."""
    head, numbers = Head(0, GENESIS), dict[Facet, int]()
    copy = Copy(records=[], facets=[], policies=[], ledger_head=[])
    for offset, record in enumerate(records):
        draft = read_entry(entry(record, at=NOON + offset))
        assert isinstance(draft, Draft)
        added = link(head, draft.body)
        head = added.head
        facet, *others = draft.columns
        if facet not in numbers:
            numbers[facet] = len(numbers) + 1
            copy.facets.append([numbers[facet], facet.key, *facet])
        if draft.policy is not None:
            copy.policies.append([draft.body["policy_digest"], draft.policy, added.seq])
        copy.records.append([added.seq, numbers[facet], *others, added.hash, added.text])
    copy.ledger_head.append([1, "0123456789abcdef", *head])
    return copy


def of(count: int, *signed: int) -> Copy:
    """A ledger of that many records, of which some are signed."""
    records: list[Wire] = []
    for number in range(count):
        job_id = f"job-{number // 4}"
        records.append((accepted(job_id), started(job_id), finished(job_id), final(job_id))[number % 4])
    copy = kept(records)
    copy.sign(signed)
    return copy


def said(verdict: Verdict) -> tuple[What | None, int | None, tuple[int, int] | None]:
    """What was found first."""
    return verdict.first.what if verdict.first else None, verdict.first_bad_seq, verdict.between


def lied(copy: Copy, seq: int) -> None:
    """Change a record, its hash and its columns."""
    row = copy.records[seq - 1]
    body = json.loads(row[BODY])
    body["job_id"] = "another"
    row[BODY] = json.dumps(body)
    tampering.reset(row)
    tampering.fit_columns(copy, row)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_nothing_is_found_where_nothing_was_changed(count: int) -> None:
    """A ledger as it was written is in order, with checkpoints and without."""
    for copy in (of(count), of(count, *range(1, count + 1, 3))):
        verdict = copy.verdict()
        assert (verdict.ok, verdict.findings, verdict.first, verdict.first_bad_seq) == (True, (), None, None)
        assert (verdict.records, verdict.checkpoints) == (count, len(copy.checkpoints))
        assert verdict.vouched == max(copy.signed, default=0)


@pytest.mark.parametrize("seq", range(1, 9))
@pytest.mark.parametrize("length", [8, 10])
def test_record_made_to_fit_alone(seq: int, length: int) -> None:
    """A record changed with its hash and columns is named, the first and the last as well, without any checkpoint."""
    copy = of(length)
    lied(copy, seq)
    verdict = copy.verdict()
    assert said(verdict)[:2] == (What.EDITED, seq)
    assert len(verdict.findings) == 1


@pytest.mark.parametrize("seq", range(1, 9))
def test_record_that_names_another_predecessor(seq: int) -> None:
    """Of two neighbours that do not fit, the one that fits neither side is named; at the end, by the ledger's word."""
    copy = of(8)
    tampering.reset(copy.records[seq - 1], prev_hash="f" * 64)
    verdict = copy.verdict()
    assert said(verdict)[:2] == (What.EDITED, seq)
    assert len(verdict.findings) == 1


def test_checkpoint_at_a_break_knows_better() -> None:
    """Where what is left shows two neighbours at odds, a checkpoint at one of them says which it is."""
    for signed, blamed in ((5, 6), (6, 5)):
        copy = of(6)
        tampering.reset(copy.records[5], prev_hash="f" * 64)
        tampering.right_head(copy)
        copy.sign([signed])
        assert copy.verdict().first_bad_seq == blamed


def test_checkpoint_behind_a_break_knows_better() -> None:
    """A signed record is not to blame for a break before it, also where the one after it names another too."""
    copy = of(9, 6)
    lied(copy, 5)
    tampering.reset(copy.records[6], prev_hash="f" * 64)
    assert [finding.seq for finding in copy.verdict().findings] == [5, 7]


def test_doubt_reaches_back_to_the_last_good_checkpoint() -> None:
    """A stretch rewritten to fit shows where it ends; that it began earlier, after a checkpoint, is said."""
    copy = of(20, 4, 16)
    lied(copy, 8)
    tampering.relink(copy, 8, 11)
    assert said(copy.verdict()) == (What.EDITED, 11, (5, 12))


def test_rewritten_rest() -> None:
    """A chain rewritten to its end is whole; the first checkpoint that it contradicts bounds where that began."""
    copy = of(20, 4, 10, 16)
    lied(copy, 8)
    tampering.relink(copy, 8)
    tampering.right_head(copy)
    verdict = copy.verdict()
    assert said(verdict) == (What.REWRITTEN, 5, (5, 10))
    assert (len(verdict.findings), verdict.checkpoints, verdict.vouched) == (1, 1, 4)


def test_rewritten_from_the_first_record() -> None:
    """Where no checkpoint is good, it may have begun with the first record."""
    copy = of(20, 10)
    lied(copy, 8)
    tampering.relink(copy, 8)
    tampering.right_head(copy)
    assert said(copy.verdict()) == (What.REWRITTEN, 1, (1, 10))
    copy.checkpoints.clear()
    assert copy.verdict().ok


def test_rewritten_twice() -> None:
    """What is bad between other checkpoints explains nothing: it is found beside it."""
    copy = of(30, 10, 20, 25)
    lied(copy, 12)
    tampering.relink(copy, 12, 28)
    copy.records[4][HASH] = "0" * 64
    found = [(finding.what, finding.seq, finding.between) for finding in copy.verdict().findings]
    assert found == [(What.EDITED, 5, (1, 5)), (What.REWRITTEN, 11, (11, 20)), (What.EDITED, 28, (11, 29))]


def test_gaps() -> None:
    """A gap is named by its first number; what follows it is not blamed."""
    copy = of(20)
    del copy.records[6:9]
    del copy.records[10]
    found = [(finding.what, finding.seq, finding.text) for finding in copy.verdict().findings]
    assert found == [
        (What.MISSING, 7, "records 7 to 9 are missing"),
        (What.MISSING, 14, "record 14 is missing"),
    ]


def test_inserted_run() -> None:
    """Records put between two others are named by the first of them, whether or not what follows was renumbered."""
    for inside in (False, True):
        copy = of(12)
        forged = [list(row) for row in of(9).records[5:8]]
        copy.records[5:5] = forged
        tampering.relink(copy, 6, 8)
        tampering.renumber(copy, 9, inside=inside)
        assert said(copy.verdict())[:2] == (What.INSERTED, 6)
    assert len(copy.verdict().findings) > 1


def test_record_that_names_one_further_up() -> None:
    """It looks as if what is between was inserted, and may be that it is this record; a checkpoint knows better."""
    copy = of(12)
    tampering.reset(copy.records[8], prev_hash=copy.records[4][HASH])
    assert said(copy.verdict()) == (What.INSERTED, 6, (1, 9))
    copy.sign([7])
    assert said(copy.verdict()) == (What.EDITED, 9, (8, 9))


def test_moved_records_are_told_of_once() -> None:
    """That everything after a deleted record has moved up by one is one finding, not one for each."""
    copy = of(60)
    del copy.records[9]
    tampering.renumber(copy, 10, inside=False)
    assert [(finding.what, finding.seq) for finding in copy.verdict().findings] == [(What.ORDER, 10), (What.CUT, 60)]


def test_swapped_records_are_two_findings() -> None:
    """Of two records that changed places each is told of, and neither is said to be inserted."""
    copy = of(12)
    copy.records[2][0], copy.records[5][0] = 6, 3
    assert [(finding.what, finding.seq) for finding in copy.verdict().findings] == [(What.ORDER, 3), (What.ORDER, 6)]


def test_misplaced_by_as_much_elsewhere() -> None:
    """A record that stands as far from its place as another one did is told of too."""
    copy = of(12)
    for place in (3, 7):
        tampering.reset(copy.records[place], seq=place + 5)
        copy.records[place][0] = place + 1
    assert [(finding.what, finding.seq) for finding in copy.verdict().findings] == [(What.ORDER, 4), (What.ORDER, 8)]


def test_cut_end() -> None:
    """A cut end is seen by the ledger's own word or by a checkpoint; with neither there is nothing to see."""
    copy = of(20, 5, 15)
    del copy.records[17:]
    assert said(copy.verdict()) == (What.CUT, 18, (16, 18))
    tampering.right_head(copy)
    assert copy.verdict().ok
    del copy.records[12:]
    tampering.right_head(copy)
    assert said(copy.verdict()) == (What.CUT, 13, (6, 13))
    copy.records.clear()
    tampering.right_head(copy)
    assert said(copy.verdict()) == (What.CUT, 1, (1, 1))


@pytest.mark.parametrize(("head", "found"), [((4, "x"), What.HEAD), ((6, "f" * 64), What.HEAD), ((7, "f"), What.CUT)])
def test_word_about_the_end(head: tuple[int, str], found: What) -> None:
    """If the last record is signed, it is the ledger's word that was changed, and no record is blamed."""
    copy = of(6, 6)
    copy.ledger_head[0][2:] = head
    verdict = copy.verdict()
    assert said(verdict) == (found, 7 if found is What.CUT else None, (7, 7) if found is What.CUT else None)


def test_records_beyond_the_end() -> None:
    """A record that was added past the ledger's own word is named."""
    copy = of(6, 4)
    copy.ledger_head[0][2:] = [5, copy.records[4][HASH]]
    assert said(copy.verdict()) == (What.INSERTED, 6, (5, 6))


@pytest.mark.parametrize("place", range(1, HASH))
def test_every_column_is_held_against_the_text(place: int) -> None:
    """There is no column that could be changed unnoticed."""
    copy = of(8)
    row = copy.records[7]
    row[place] = "x" if isinstance(row[place], str) or row[place] is None else row[place] + 1
    assert said(copy.verdict()) == (What.COLUMNS, 8, (8, 8))


@pytest.mark.parametrize("place", range(2, 17))
@pytest.mark.parametrize("with_key", [False, True])
def test_every_word_of_a_facet_is_held_against_the_text(place: int, with_key: bool) -> None:
    """There is no word that could be changed unnoticed; the first record that has it is named."""
    copy = of(8)
    facet = copy.facets[copy.records[3][FACET_ID] - 1]
    facet[place] = not facet[place] if isinstance(facet[place], bool) else "x"
    if with_key:
        facet[1] = Facet(*facet[2:]).key
    assert said(copy.verdict()) == (What.COLUMNS, 4, (4, 4))


def test_facets_keys_and_absence() -> None:
    """A facet under another key, or none at all, is found."""
    copy = of(8)
    copy.facets[1][1] = "0" * 64
    assert said(copy.verdict()) == (What.COLUMNS, 2, (2, 2))
    del copy.facets[1]
    assert said(copy.verdict()) == (What.COLUMNS, 2, (2, 2))


@pytest.mark.parametrize(
    "text", [None, b"{}", 7, "", "{", "[]", "null", "{}", '{"kind":["final"],"seq":3,"prev_hash":""}', "\ud800"]
)
def test_any_garbage_is_a_finding(text: Any) -> None:
    """Whatever stands in the place of a record's text, its number is named and nothing is raised."""
    copy = of(6, 6)
    copy.records[2][BODY] = text
    verdict = copy.verdict()
    assert said(verdict)[:2] == (What.EDITED, 3)
    assert verdict.records == 6


def test_policies() -> None:
    """A policy that was changed, dated elsewhere or removed is found; no record is blamed for it."""
    change = PolicyRecord(role="worker", policy_digest=POLICY_DIGEST, previous_digest=DIGEST, by="w", policy=POLICY)
    copy = kept([accepted("a"), change, change])
    assert copy.verdict().ok
    for policies in ([[POLICY_DIGEST, "{ }", 2]], [[POLICY_DIGEST, POLICY, 1]], []):
        changed = copy.twin()
        changed.policies = policies
        assert said(changed.verdict()) == (What.POLICY, None, None)
    copy.policies[0][2] = 3
    assert copy.verdict().ok


def test_forged_checkpoint() -> None:
    """A checkpoint not signed by its key, of a strange key or of another ledger is found and vouches for nothing."""
    copy = of(9, 3, 6)
    honest = copy.checkpoints[1]
    head = Head(6, copy.records[5][HASH])
    strange = type(honest).sign(SigningKey.generate(), ledger_id=copy.ledger_id, head=head, at=honest.at)
    foreign = type(honest).sign(KEY, ledger_id="f" * 16, head=head, at=honest.at)
    forged = [
        (replace(honest, record_hash="0" * 64), What.SIGNATURE, "was not signed with the key it names"),
        (replace(honest, at="2026-01-01T12:00:00.000001Z"), What.SIGNATURE, "was not signed with the key it names"),
        (replace(honest, signature="0" * 128), What.SIGNATURE, "was not signed with the key it names"),
        (replace(honest, seq=9), What.SIGNATURE, "was not signed with the key it names"),
        (replace(strange, key_id=honest.key_id), What.SIGNATURE, "was not signed with the key it names"),
        (strange, What.SIGNATURE, "none of those given"),
        (foreign, What.CHECKPOINT, "of another ledger"),
    ]
    for checkpoint, what, text in forged:
        copy.checkpoints[1] = checkpoint
        verdict = copy.verdict()
        assert said(verdict) == (what, None, None)
        assert text in verdict.findings[0].text
        assert (verdict.vouched, verdict.checkpoints) == (3, 1)


def test_two_words_about_one_record() -> None:
    """Of two signed checkpoints that contradict each other at most one can be right: never in order."""
    copy = of(9, 3, 6)
    copy.sign([3])
    assert copy.verdict().ok
    other = of(9, 6).twin()
    lied(other, 6)
    other.checkpoints.clear()
    other.sign([6])
    copy.checkpoints += other.checkpoints
    assert said(copy.verdict()) == (What.REWRITTEN, 4, (4, 6))


def test_findings_are_few_and_in_order() -> None:
    """However much is wrong, the first is among what is told, and all of it fits on a screen."""
    copy = of(100, 50)
    for row in copy.records[30:]:
        row[HASH] = "0" * 64
    found = copy.verdict().findings
    assert len(found) == MOST_FINDINGS
    assert [finding.seq for finding in found] == list(range(31, 31 + MOST_FINDINGS))


def test_verdict_puts_findings_in_order() -> None:
    """The lowest number first, those without one last, none twice."""
    some = [Finding(what=What.EDITED, text="x", seq=seq) for seq in (7, None, 3, 7)]
    verdict = Verdict.of(some, ledger_id="x", records=9, checkpoints=0, vouched=0)
    assert [finding.seq for finding in verdict.findings] == [3, 7, None]
    many = [Finding(what=What.SIGNATURE, text=str(number)) for number in range(2 * MOST_FINDINGS)]
    assert len(Verdict.of(many, ledger_id="x", records=9, checkpoints=0, vouched=0).findings) == MOST_FINDINGS


@pytest.mark.parametrize("tamper", tampering.EXACT + tampering.SOMEWHERE, ids=lambda tamper: tamper.__name__)
def test_every_sort_of_tampering(tamper: tampering.Tamper) -> None:
    """Every sort of tampering is found wherever it hits, and the true first bad record is named or bounded."""
    rng, figures = random.Random(tamper.__name__), tampering.Figures()
    for _ in range(60):
        original = of(rng.randint(12, 60))
        original.sign(sorted(rng.sample(range(4, len(original.records) + 1), 2)))
        changed = original.twin()
        tamper(changed, rng)
        figures.judge(tamper, original, changed, changed.verdict())
    assert figures.wrong == []
    assert figures.found == figures.tamperings == 60
