"""Content on its way into the ledger: which of it is kept, for how long, and what Redis may then drop."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

import structlog
from pydantic_core import from_json

from pointsman_queue import FUNCTION, Outbox, redis_errors
from pointsman_routes import JobState, RecordKind

from .content import Answered, Asked
from .intake import Draft, Garbage
from .ledger import Ledger
from .moment import LATEST, Clock, to_micros, utc_now
from .retention import Keeping, Retention

_MARGIN_US: Final = 7 * 24 * 3600 * 1_000_000
"""A job may end this long after its deadline, if nothing works for days; its end says when its content goes."""
MOST_BYTES = 32 * 1024 * 1024
"""Content in one batch, unless a single job has more; in memory it takes a few times as much."""
_LONGEST_SUBJECT = 256
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ENDS_OF_LIFE = frozenset({RecordKind.ACCEPTED, RecordKind.FINAL})
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode

log = structlog.get_logger()


class ContentIntake:
    """Stands between outbox and ledger.

    What a job asks is taken from its envelope when its acceptance is recorded, what it was answered from its result
    when its end is; both are in Redis until then, however late that is. Under a policy that nobody knows nothing is
    kept.
    """

    def __init__(self, outbox: Outbox, ledger: Ledger, *, clock: Clock = utc_now) -> None:
        self._outbox = outbox
        self._clock = clock
        self._retention = Retention(ledger)

    async def fitting(self, entries: Sequence[Draft | Garbage]) -> int:
        """How many entries, from the first on, make one batch: what is kept of them is in memory at once.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer.
        """
        lives = await self._lives([entry for entry in entries if isinstance(entry, Draft)])
        asked = [draft.body["job_id"] for draft, keeping in lives if _keeps_question(draft, keeping)]
        answered = [draft.body["job_id"] for draft, keeping in lives if _keeps_answer(draft, keeping)]
        sizes = await self._outbox.sizes(asked, answered)
        left = MOST_BYTES
        for number, entry in enumerate(entries):
            if isinstance(entry, Draft) and entry.kind in _ENDS_OF_LIFE:
                left -= sizes[entry.kind is RecordKind.FINAL].get(entry.body["job_id"], 0)
                if left < 0:
                    return max(1, number)
        return len(entries)

    async def collect(self, drafts: Sequence[Draft]) -> tuple[tuple[Asked, ...], tuple[Answered, ...]]:
        """What of these records' content is to be kept.

        Raises:
            ServiceUnavailable: Redis or the ledger does not answer.
        """
        lives = await self._lives(drafts)
        begun = [(draft, keeping) for draft, keeping in lives if draft.kind is RecordKind.ACCEPTED]
        ended = [(draft, keeping) for draft, keeping in lives if draft.kind is RecordKind.FINAL]
        now = to_micros(self._clock())
        return await self._asked(begun, now), await self._answered(ended, now)

    async def _lives(self, drafts: Sequence[Draft]) -> list[tuple[Draft, Keeping]]:
        """Beginnings and ends of jobs, with how their content is kept; where nobody knows that they are left out."""
        self._retention.tidy()
        for draft in drafts:
            if draft.policy is not None:
                self._retention.learn(draft.body["policy_digest"], draft.policy)
        lives = [draft for draft in drafts if draft.kind in _ENDS_OF_LIFE]
        await self._retention.load(digest for draft in lives if (digest := named_policy(draft)) is not None)
        return [(draft, keeping) for draft in lives if (keeping := self._keeping(draft)) is not None]

    async def drop(self, drafts: Sequence[Draft]) -> None:
        """Let Redis drop what succeeded jobs asked; what others asked may be asked again by hand."""
        over = [draft.body["job_id"] for draft in drafts if _succeeded(draft)]
        await self._outbox.drop_envelopes(over)

    def _keeping(self, draft: Draft) -> Keeping | None:
        digest, task_class = named_policy(draft), draft.columns.facet.task_class
        return None if digest is None or task_class is None else self._retention.of(digest, task_class)

    async def _asked(self, begun: Sequence[tuple[Draft, Keeping]], now: int) -> tuple[Asked, ...]:
        wanted = [(draft, keeping) for draft, keeping in begun if _keeps_question(draft, keeping)]
        with redis_errors():
            envelopes = await self._outbox.envelopes([draft.body["job_id"] for draft, _ in wanted])
        found = []
        for draft, keeping in wanted:
            job_id, facet, at = draft.columns.job_id or "", draft.columns.facet, draft.columns.at
            opened = open_envelope(envelopes.get(draft.body["job_id"]))
            if opened is None:
                continue
            line, salt, subject = opened
            over = min(LATEST, at + keeping.deadline_us + keeping.keep_us + _MARGIN_US)
            found.append(Asked(job_id, facet.task_class or "", subject, salt, line, now, over))
        if len(found) < len(wanted):
            log.warning("recorder.prompts_missing", count=len(wanted) - len(found))
        return tuple(found)

    async def _answered(self, ended: Sequence[tuple[Draft, Keeping]], now: int) -> tuple[Answered, ...]:
        succeeded = [draft.body["job_id"] for draft, keeping in ended if _keeps_answer(draft, keeping)]
        with redis_errors():
            lines = await self._outbox.results(succeeded)
        if len(lines) < len(succeeded):
            log.warning("recorder.answers_missing", count=len(succeeded) - len(lines))
        found = []
        for draft, keeping in ended:
            line = lines.get(draft.body["job_id"]) if _keeps_answer(draft, keeping) else None
            over = min(LATEST, draft.columns.at + keeping.keep_us) if keeping.keep_us else None
            answer = None if line is None else _text(line)
            found.append(Answered(draft.columns.job_id or "", draft.columns.facet.task_class or "", answer, now, over))
        return tuple(found)


def named_policy(draft: Draft) -> str | None:
    """The digest of the policy that a record names; None if it names none, or something that is no digest."""
    digest = draft.body.get("policy_digest")
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def open_envelope(envelope: bytes | None) -> tuple[str, str | None, str | None] | None:
    """The job's line, the salt of its digests and whom it is about; None if the envelope holds no job.

    Only its shape is looked at: whoever reads the line again validates it then.
    """
    if envelope is None:
        return None
    try:
        found = from_json(envelope, allow_inf_nan=False)
        line = found["a"][0]
        if found["f"] != FUNCTION or not isinstance(line, dict):
            return None
        text = _encode(line)
        text.encode()
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    named = found.get("k")
    salt = named.get("salt") if isinstance(named, dict) else None
    return text, salt if isinstance(salt, str) and salt and "\0" not in salt else None, _subject(line)


def _subject(line: dict[str, Any]) -> str | None:
    """Whom the job is about, as its metadata say under `subject`."""
    metadata = line.get("metadata")
    subject = metadata.get("subject") if isinstance(metadata, dict) else None
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or "\0" in subject:
        return None
    return subject


def _keeps_question(draft: Draft, keeping: Keeping) -> bool:
    return draft.kind is RecordKind.ACCEPTED and (keeping.keep_us > 0 or keeping.strict)


def _keeps_answer(draft: Draft, keeping: Keeping) -> bool:
    return keeping.keep_us > 0 and _succeeded(draft)


def _succeeded(draft: Draft) -> bool:
    return draft.kind is RecordKind.FINAL and draft.columns.facet.state == JobState.SUCCEEDED


def _text(line: bytes) -> str:
    """A result line as a text column can hold it; a line that Pointsman wrote is left as it is."""
    return line.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
