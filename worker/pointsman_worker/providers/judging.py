"""The judgement every kind shares, once its codec knows what the vendor said."""

from dataclasses import dataclass
from enum import StrEnum

from pointsman_routes import Answer, Empty, Misrouted, Ok, Outcome, Refused, Tier, Transient, Truncated


class Finish(StrEnum):
    """Why the model stopped, whatever the vendor calls it."""

    STOP = "stop"
    """It had said everything."""
    LENGTH = "length"
    """It reached the token limit, or the end of its context window."""
    REFUSED = "refused"
    """It declined, or a filter cut it off."""
    BROKEN = "broken"
    """An error, or a reason nobody here knows: the answer may not be complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a vendor said in a 200, out of its own format."""

    content: str
    finish: Finish
    finish_reason: str | None
    """In the vendor's own spelling."""
    model: str | None
    """As the vendor names it; None when it names none."""
    region: str | None = None
    """Where the vendor says it was processed; None when it does not say."""


def judge(spoken: Spoken, tier: Tier, region: str | None) -> Outcome:
    """Decide how the attempt ended.

    A wrong model or region comes first: nothing of such an answer may be used, not even that it is empty.
    An answer that stopped at the token limit before it said anything is empty, not truncated: `on_truncated`
    accepts by default, and would deliver nothing as an answer.

    Args:
        spoken: the vendor's words.
        tier: the tier that was asked.
        region: where the provider is declared to process data; None and `global` promise nothing.
    """
    if not tier.serves(spoken.model):
        return Misrouted(detail=f"asked for {tier.model}, answered by {_short(spoken.model)}")
    if region not in (None, "global", spoken.region) and spoken.region is not None:
        return Misrouted(detail=f"declared region is {region}, processed in {_short(spoken.region)}")
    if spoken.finish is Finish.REFUSED:
        return Refused(detail=_short(spoken.finish_reason) or "refusal")
    if spoken.finish is Finish.BROKEN:
        detail = f"the answer ended for an unknown reason: {_short(spoken.finish_reason)}"
        return Transient(detail=detail, may_be_billed=True)
    if not _says_something(spoken.content):
        return Empty()
    answer = Answer(content=spoken.content, finish_reason=spoken.finish.value)
    return Truncated(answer=answer) if spoken.finish is Finish.LENGTH else Ok(answer=answer)


def _says_something(content: str) -> bool:
    # Not strip(): a zero-width space is nothing either, and not white space to Python.
    return any(character.isprintable() and not character.isspace() for character in content)


def _short(text: str | None) -> str:
    return "".join(character for character in (text or "")[:100] if character.isprintable())
