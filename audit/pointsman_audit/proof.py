"""Proving: whether a text is the one that a job's records have the digest of.

A digest is SHA-256 of the job's salt, a line feed and the text. The salt is kept beside the content and goes with it:
from then on nobody can tell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import select

from pointsman_routes import Answer, Job, RecordKind, Result, ToolCall, salted_digest

from .ledger import Ledger
from .moment import Clock, to_micros, utc_now
from .schema import content

_DIGEST = re.compile("[0-9a-f]{64}")


class ContentPart(StrEnum):
    """What of a job a text is."""

    PROMPT = "prompt"
    """`Job.asked()`."""
    ANSWER = "answer"
    """`Answer.canonical()`."""


class Agreement(StrEnum):
    """Whether a text is the job's."""

    SAME = "same"
    DIFFERENT = "different"
    UNTELLABLE = "untellable"
    """There is nothing to hold it against."""
    CONTRADICTORY = "contradictory"
    """The ledger does not agree with itself."""


class Candidate(NamedTuple):
    """A text in the form that digests are taken of."""

    part: ContentPart
    form: str
    """What it was read as, for people: `job line`."""
    text: str


class Proof(NamedTuple):
    """What came of it."""

    agreement: Agreement
    why: str
    """In words."""
    part: ContentPart | None = None
    form: str | None = None
    seqs: tuple[int, ...] = ()
    """The records that have the digest of the text."""


class Digested(NamedTuple):
    """A digest in a record."""

    seq: int
    kind: RecordKind
    part: ContentPart
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What the ledger has to hold a text against."""

    task_class: str | None
    records: tuple[Digested, ...]
    """In their order; a word in place of a digest, such as `unsalted`, is there as it is."""
    salt: str | None
    """None if it is not kept, or not any more."""
    asked: str | None
    """What the job asks, as it is kept beside the salt."""
    gone: str
    """Why there is no salt, in words; empty if there is one."""


async def digests_of(ledger: Ledger, job_id: str, *, clock: Clock = utc_now) -> Digests | None:
    """What the ledger has of a job; None if it has no record of it.

    Raises:
        LedgerUnavailable: the database does not answer, or this role may not read salts.
    """
    story = await ledger.story(job_id)
    if not story:
        return None
    query = select(content.c.salt, content.c.job).where(
        content.c.job_id == job_id, content.c.expires_at > to_micros(clock())
    )
    async with ledger.reading() as connection:
        kept = (await connection.execute(query)).first()
    salt = kept.salt if kept is not None else None
    return Digests(
        task_class=next((name for told in story if isinstance(name := told.get("task_class"), str)), None),
        records=tuple(digests_in(story)),
        salt=salt,
        asked=_asked(kept.job) if kept is not None else None,
        gone="" if salt else _why_gone(story, there=kept is not None),
    )


def digests_in(story: Iterable[Mapping[str, Any]]) -> Iterator[Digested]:
    """The digests in a job's records."""
    for told in story:
        kind = told.get("kind")
        if kind not in (RecordKind.ACCEPTED, RecordKind.FINAL):
            continue
        for part, name in ((ContentPart.PROMPT, "prompt_digest"), (ContentPart.ANSWER, "response_digest")):
            if isinstance(digest := told.get(name), str):
                yield Digested(told["seq"], RecordKind(kind), part, digest)


def prove(candidates: Sequence[Candidate], digests: Digests, part: ContentPart | None = None) -> Proof:
    """Hold a text, in every form it may be read as, against a job's digests.

    Says nothing about whether the records are those that were written: that is `examine`'s.

    Args:
        candidates: the forms.
        digests: of the job.
        part: only this one.
    """
    if (quarrel := _quarrel(digests.records)) is not None:
        return Proof(Agreement.CONTRADICTORY, quarrel)
    if not digests.salt:
        return Proof(Agreement.UNTELLABLE, digests.gone)
    under = _under_the_salt(digests)
    if not under:
        return Proof(Agreement.CONTRADICTORY, "the salt and the job that are kept are not those of any of its records")
    against = [one for one in under if part in (None, one.part) and _DIGEST.fullmatch(one.digest)]
    if not against:
        return Proof(Agreement.UNTELLABLE, f"no record has a digest of its {part or 'texts'}")
    for candidate in candidates:
        digest = salted_digest(digests.salt, candidate.text)
        seqs = tuple(one.seq for one in against if one.part is candidate.part and one.digest == digest)
        if seqs:
            return Proof(
                Agreement.SAME, "it is what its records have the digest of", candidate.part, candidate.form, seqs
            )
    tried = sorted({candidate.form for candidate in candidates if part in (None, candidate.part)})
    return Proof(
        Agreement.DIFFERENT,
        f"read as {', '.join(tried)} it is not what the records have the digest of"
        if tried
        else f"it cannot be read as any {part or 'text'} of a job",
        seqs=tuple(dict.fromkeys(one.seq for one in against)),
    )


def answer_forms(text: str) -> Iterator[Candidate]:
    """The answers that a text may be: that of a result line, or the text itself."""
    if (answer := _answer_in(text)) is not None:
        yield Candidate(ContentPart.ANSWER, "result line", answer.canonical())
    yield Candidate(ContentPart.ANSWER, "plain text", text)
    if text.endswith("\n"):
        # Editors add one.
        shorter = text.removesuffix("\n").removesuffix("\r")
        yield Candidate(ContentPart.ANSWER, "plain text without its last line feed", shorter)


def _answer_in(text: str) -> Answer | None:
    """The answer in a line of an output file; None if it is none."""
    try:
        response = Result.model_validate_json(text).response
        if response is None:
            return None
        choice = response.body["choices"][0]
        message = choice["message"]
        said = message["content"]
        calls = tuple(ToolCall.model_validate(call) for call in message.get("tool_calls") or ())
    except (ValidationError, KeyError, IndexError, TypeError, AttributeError):
        return None
    if said is not None and not isinstance(said, str):
        return None
    return Answer(content=said or "", finish_reason="", tool_calls=calls)


def _quarrel(digested: Sequence[Digested]) -> str | None:
    """Why an end is not that of the job that was accepted; None if it is.

    A job that was taken in anew may have another salt, so its end has to agree with one of its acceptances.
    """
    accepted = [one for one in digested if one.kind is RecordKind.ACCEPTED and _DIGEST.fullmatch(one.digest)]
    for one in digested:
        if one.kind is not RecordKind.FINAL or one.part is not ContentPart.PROMPT or not _DIGEST.fullmatch(one.digest):
            continue
        before = [other for other in accepted if other.seq < one.seq]
        if before and one.digest not in {other.digest for other in before}:
            return (
                f"record {one.seq} has another prompt_digest than record {before[-1].seq}; see `pointsman audit verify`"
            )
    return None


def _under_the_salt(digests: Digests) -> list[Digested]:
    """The digests that were made with the salt that is kept: those of records with the prompt that is kept."""
    prompts = {one.seq: one.digest for one in digests.records if one.part is ContentPart.PROMPT}
    if digests.asked is None:
        return list(digests.records)
    own = salted_digest(digests.salt or "", digests.asked)
    return [one for one in digests.records if prompts.get(one.seq) == own]


def _asked(line: str | None) -> str | None:
    try:
        return None if line is None else Job.model_validate_json(line).asked()
    except ValidationError:
        return None


def _why_gone(story: Sequence[Mapping[str, Any]], *, there: bool) -> str:
    if any(told.get("kind") == RecordKind.ERASURE for told in story):
        return "its content was erased, and the salt of its digests with it"
    if there:
        return "its salt was not kept"
    return "its content is not kept, or not any more, and the salt of its digests went with it"
