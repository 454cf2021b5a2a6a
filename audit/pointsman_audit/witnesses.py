"""Witnesses: the checkpoints that can be believed, and what they say."""

from collections.abc import Mapping, Sequence

from .checkpoint import Checkpoint
from .checkpoint_file import Checkpoints
from .finding import Finding, What
from .signing_key import PublicKey


class Witnesses:
    """What accepted keys have signed about one ledger.

    A key counts only if the auditor brings it. That the ledger itself tells of a new key makes nobody trust it: such a
    record could have been written by whoever wants the key to be trusted.
    """

    def __init__(self, checkpoints: Sequence[Checkpoints], keys: Sequence[PublicKey], ledger_id: str) -> None:
        """Checks every signature.

        Args:
            checkpoints: what is in each file; read before the ledger is, which may grow meanwhile.
            keys: whose signatures are accepted.
            ledger_id: which ledger they must be about.
        """
        self.believed: list[Checkpoint] = []
        """In the order they were given."""
        self.findings: list[Finding] = []
        """What is wrong with the others."""
        self.torn = sum(file.torn for file in checkpoints)
        self._heads: dict[int, set[str]] = {}
        by_id = {key.key_id: key for key in keys}
        for file in checkpoints:
            for number in file.foreign:
                self._reject(What.CHECKPOINT, f"line {number} of the checkpoints is none")
            for checkpoint in file.found:
                self._hear(checkpoint, by_id, ledger_id)

    def agree(self, seq: int, record_hash: str) -> bool | None:
        """Whether a record is the one that was signed; None if nobody says anything about that number."""
        said = self._heads.get(seq)
        return None if said is None else said == {record_hash}

    @property
    def furthest(self) -> int:
        """The last number anybody vouches for; 0 for none."""
        return max(self._heads, default=0)

    @property
    def newest(self) -> Checkpoint | None:
        """The checkpoint that is furthest on."""
        return max(self.believed, key=lambda checkpoint: checkpoint.seq, default=None)

    def _hear(self, checkpoint: Checkpoint, keys: Mapping[str, PublicKey], ledger_id: str) -> None:
        where = f"the checkpoint of record {checkpoint.seq}"
        key = keys.get(checkpoint.key_id)
        if checkpoint.ledger_id != ledger_id:
            self._reject(What.CHECKPOINT, f"{where} is of another ledger, {checkpoint.ledger_id}")
        elif key is None:
            self._reject(What.SIGNATURE, f"{where} names the key {checkpoint.key_id}, which is none of those given")
        elif not checkpoint.signed_by(key):
            self._reject(What.SIGNATURE, f"{where} was not signed with the key it names, {checkpoint.key_id}")
        else:
            self.believed.append(checkpoint)
            self._heads.setdefault(checkpoint.seq, set()).add(checkpoint.record_hash)

    def _reject(self, what: What, text: str) -> None:
        self.findings.append(Finding(what=what, text=text))
