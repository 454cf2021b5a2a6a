"""Verification: is this the chain that was written? Fed with rows, in order; asks nobody anything.

What is blamed, by what is left to see. A record whose text, hash or number do not belong together: that record. A
missing number: that number. Two neighbours that are each sound while the second does not name the first: the second if
the third does not name it either, else the first; a checkpoint at one of the two knows better. If the second names a
record further up, what stands between was inserted. A chain that is whole but not the one that was signed: nobody can
tell which record was the first, only between which checkpoints.
"""

import hashlib
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from pointsman_routes import RecordKind

from .chain import GENESIS, Head
from .columns import Facet, Unreadable, columns_of
from .finding import MOST_FINDINGS, Finding, Verdict, What
from .witnesses import Witnesses

Row = Sequence[Any]
"""A record as it is in the database: the columns of `schema.records`, in order."""

_KINDS: dict[Any, RecordKind] = {kind.value: kind for kind in RecordKind}
_REMEMBERED = 1024
"""Hashes of the last records, by which it is seen that others were put in after one of them."""


class Verifier:
    """Follows a chain from its beginning, row by row."""

    def __init__(self, ledger_id: str, witnesses: Witnesses, facets: Mapping[int, Facet | None]) -> None:
        """Nothing is checked yet but the witnesses' signatures, which they have seen to.

        Args:
            ledger_id: for the verdict.
            witnesses: what was signed.
            facets: by number; None for one that is not as it was made.
        """
        self.records = 0
        """How many were fed."""
        self.policy_changes: dict[str, list[int]] = {}
        """The numbers of the records that brought a policy into force, by its digest."""
        self._ledger_id = ledger_id
        self._witnesses = witnesses
        self._facets = facets
        self._seq = 0
        self._hash = GENESIS
        self._sound = True
        """Whether the last record was what it says, so that the next one must name its hash."""
        self._broken = False
        """Whether the last record does not name the one before it; the next one says which of them is to blame."""
        self._shift: int | None = 0
        """By how much the number of the last misplaced record was off."""
        self._recent: deque[tuple[int, str]] = deque([(0, GENESIS)], maxlen=_REMEMBERED)
        self._agreed = [0]
        """Numbers that witnesses agree with, ascending. They may all be taken to: before record 1 there is nothing."""
        self._disputed: list[int] = []
        self._last_bad = 0
        self._findings: list[Finding] = []

    def feed(self, rows: Iterable[Row]) -> None:
        """Take the next records, in ascending order of their numbers; a missing one shows as a gap."""
        for row in rows:
            self.records += 1
            if row[0] != self._seq + 1:
                self._gap(row[0])
            self._take(row)

    def finish(self, head: Head, policies: Iterable[tuple[str, str, int]]) -> Verdict:
        """There are no more records.

        Args:
            head: where the ledger says it ended when its last record was looked up.
            policies: digest, policy and first record of each in the ledger, of those before its end.
        """
        if self._broken:
            self._blame(second=head.hash != self._hash)
        self._check_end(head)
        self._check_policies(policies)
        self._check_disputed()
        agreed = set(self._agreed)
        return Verdict.of(
            [*self._findings, *self._witnesses.findings],
            ledger_id=self._ledger_id,
            records=self.records,
            checkpoints=sum(checkpoint.seq in agreed for checkpoint in self._witnesses.believed),
            vouched=self._agreed[-1],
            torn=self._witnesses.torn,
        )

    def _take(self, row: Row) -> None:
        seq, text, stored = row[0], row[-1], row[-2]
        try:
            record_hash = hashlib.sha256(text.encode()).hexdigest()
            body = from_json(text)
            kind, own, names = _KINDS[body["kind"]], body["seq"], body["prev_hash"]
        except (AttributeError, ValueError, TypeError, KeyError):
            self._find(What.EDITED, f"record {seq} is no record", seq)
            self._step(seq, "", sound=False, follows=None)
            return
        sound: bool = record_hash == stored and own == seq
        follows = names == self._hash
        if not sound:
            self._unsound(seq, own, names, edited=record_hash != stored)
        elif not follows and self._sound and not self._broken:
            follows = self._inserted(seq, names)
        self._step(seq, record_hash, sound=sound, follows=follows)
        if sound:
            self._check_columns(kind, body, row)

    def _step(self, seq: int, record_hash: str, *, sound: bool, follows: bool | None) -> None:
        """Go on to a record.

        Args:
            seq: its number.
            record_hash: its hash.
            sound: whether text, hash and number belong together.
            follows: whether it names the record before it; None if it names nothing.
        """
        if self._broken:
            self._blame(second=follows is False)
            self._broken = False
        else:
            self._broken = sound and self._sound and not follows
        self._seq, self._hash, self._sound = seq, record_hash, sound
        self._recent.append((seq, record_hash))
        agreed = self._witnesses.agree(seq, record_hash)
        if agreed is not None:
            (self._agreed if agreed else self._disputed).append(seq)

    def _gap(self, seq: int) -> None:
        missing = f"record {self._seq + 1} is" if seq == self._seq + 2 else f"records {self._seq + 1} to {seq - 1} are"
        if self._broken:
            self._blame(second=False)
            self._broken = False
        self._find(What.MISSING, f"{missing} missing", self._seq + 1)
        self._seq, self._sound = seq - 1, False

    def _unsound(self, seq: int, own: object, names: object, *, edited: bool) -> None:
        if edited:
            self._find(What.EDITED, f"the hash beside record {seq} is not that of its text", seq)
            return
        shift = seq - own if isinstance(own, int) else None
        if shift == self._shift and not self._sound:
            return  # all that follows is moved by as much
        self._shift = shift
        if not self._inserted(seq, names):
            self._find(What.ORDER, f"what stands as record {seq} has another number inside", seq)

    def _inserted(self, seq: int, names: object) -> bool:
        """See whether a record names one further up, so that what stands between was put in."""
        earlier = next((number for number, record_hash in reversed(self._recent) if record_hash == names), None)
        if earlier is None:
            return False
        # Nothing else was wrong there, and nobody vouches for any of them: it is those between that do not belong.
        if earlier >= seq - 1 or max(self._last_bad, self._agreed[-1]) > earlier:
            return False
        text = f"record {seq} follows upon record {earlier}; what is between was inserted"
        self._find(What.INSERTED, text, earlier + 1, until=seq)
        return True

    def _blame(self, *, second: bool) -> None:
        """Say who is to blame for a break before the last record.

        Args:
            second: whether the one after the last does not name it either.
        """
        last, before = self._seq, self._seq - 1
        if before in self._agreed[-2:]:
            blamed = last
        elif last == self._agreed[-1]:
            blamed = before
        else:
            blamed = last if second else before
        text = f"record {last} does not name the hash of record {before}"
        self._find(What.EDITED, text, blamed, until=last)

    def _good_before(self, seq: int) -> int:
        """The last number below this one that a witness agrees with."""
        return self._agreed[bisect_left(self._agreed, seq) - 1]

    def _check_columns(self, kind: RecordKind, body: dict[str, Any], row: Row) -> None:
        seq = row[0]
        if kind is RecordKind.POLICY_CHANGE:
            self.policy_changes.setdefault(str(body.get("policy_digest")), []).append(seq)
        try:
            same = columns_of(kind, body) == (self._facets.get(row[1]), *row[2:-2])
        except Unreadable:
            same = False
        if not same:
            self._find(What.COLUMNS, f"the columns of record {seq} are not what it says", seq)

    def _check_end(self, head: Head) -> None:
        end, furthest = self._seq, max(head.seq, self._witnesses.furthest)
        if furthest > end:
            self._find(What.CUT, f"records {end + 1} to {furthest} are cut off", end + 1)
        elif head.seq < end and self._agreed[-1] <= head.seq:
            self._find(What.INSERTED, f"records stand after record {head.seq}, which was the last", head.seq + 1)
        elif head.seq < end or (head.hash != self._hash and end in self._agreed[-1:]):
            self._find(What.HEAD, "what the ledger says of its own end is not so", None)
        elif head.hash != self._hash and self._last_bad != end:
            text = f"record {end} is not the one that was written last"
            self._find(What.EDITED, text, end)

    def _check_policies(self, policies: Iterable[tuple[str, str, int]]) -> None:
        held = set()
        for digest, policy, first in policies:
            held.add(digest)
            if hashlib.sha256(str(policy).encode(errors="replace")).hexdigest() != digest:
                self._find(What.POLICY, f"a policy that came with record {first} is not what its digest says", None)
            elif first not in self.policy_changes.get(digest, ()):
                self._find(What.POLICY, f"record {first} does not bring the policy it is said to", None)
        for digest, seqs in self.policy_changes.items():
            if digest not in held:
                self._find(What.POLICY, f"the policy that came with record {seqs[0]} is gone", None)

    def _check_disputed(self) -> None:
        """A record that is not the signed one is explained by any bad one since the last good checkpoint."""
        bad = sorted(finding.seq for finding in self._findings if finding.seq is not None)
        for seq in self._disputed:
            first = self._good_before(seq) + 1
            next_bad = bisect_left(bad, first)
            if next_bad < len(bad) and bad[next_bad] <= seq:
                continue
            text = f"record {seq} is not the one that was signed; it or one before it, from {first} on, is another"
            bad.insert(next_bad, first)
            # However much else was found: this one is further up.
            self._findings.append(Finding(what=What.REWRITTEN, text=text, seq=first, between=(first, seq)))

    def _find(self, what: What, text: str, seq: int | None, *, until: int | None = None) -> None:
        """Note what is wrong.

        Args:
            what: of which sort.
            text: for a person.
            seq: the record to blame.
            until: the last that may be the first bad one, if not `seq`.
        """
        if seq is not None:
            self._last_bad = max(self._last_bad, seq)
        if len(self._findings) < MOST_FINDINGS:
            between = None if seq is None else (self._first_doubtful(what, seq), until or seq)
            self._findings.append(Finding(what=what, text=text, seq=seq, between=between))

    def _first_doubtful(self, what: What, seq: int) -> int:
        """The first record that nothing vouches for, where something is wrong with this one."""
        return seq if what is What.COLUMNS else self._good_before(seq) + 1
