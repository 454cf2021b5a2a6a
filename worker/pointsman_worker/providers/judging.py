"""The judgement every kind shares, once its codec knows what the vendor said."""

from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic_core import from_json

from pointsman_routes import (
    Answer,
    Empty,
    Job,
    Misrouted,
    NamedTool,
    Ok,
    Outcome,
    Refused,
    Tier,
    ToolCall,
    Transient,
    Truncated,
    may_be_processed_in,
)


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
    tool_calls: tuple[ToolCall, ...] = ()
    upstream: str | None = None
    """Who answered behind a broker, as the broker says."""
    service_tier: str | None = None
    """The class of service it was answered at, as the vendor says."""


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
    if not may_be_processed_in(region, spoken.region):
        return Misrouted(detail=f"declared region is {region}, processed in {_short(spoken.region)}")
    if spoken.finish is Finish.REFUSED:
        return Refused(detail=_short(spoken.finish_reason) or "refusal")
    if spoken.finish is Finish.BROKEN:
        detail = f"the answer ended for an unknown reason: {_short(spoken.finish_reason)}"
        return Transient(detail=detail, may_be_billed=True)
    if not _says_something(spoken.content) and not spoken.tool_calls:
        return Empty()
    reason = "tool_calls" if spoken.tool_calls and spoken.finish is Finish.STOP else spoken.finish.value
    answer = Answer(content=spoken.content, finish_reason=reason, tool_calls=spoken.tool_calls)
    return Truncated(answer=answer) if spoken.finish is Finish.LENGTH else Ok(answer=answer)


def keeps_to(job: Job, outcome: Outcome) -> Outcome:
    """The outcome, unless the answer is not of the form the job asked for.

    A call of a tool nobody offered, or that the job forbade, says nothing; where a call was demanded, or JSON, an
    answer without is a broken one. One that stopped at the token limit is not looked at further: it is cut, and known
    to be. That an answer follows its schema is the vendor's promise and not checked here.
    """
    if not isinstance(outcome, Ok | Truncated):
        return outcome
    answer = outcome.answer
    if answer.tool_calls and (not job.tools or job.tool_choice == "none"):
        if not _says_something(answer.content):
            return Empty()
        reason = "stop" if answer.finish_reason == "tool_calls" else answer.finish_reason
        answer = replace(answer, tool_calls=(), finish_reason=reason)
        outcome = replace(outcome, answer=answer)
    lack = _lack(job, answer) if isinstance(outcome, Ok) else None
    return Transient(detail=lack, may_be_billed=True) if lack is not None else outcome


def _lack(job: Job, answer: Answer) -> str | None:
    """What the job demands of the form of its answer and does not have."""
    called = {call.function.name for call in answer.tool_calls}
    if job.tool_choice == "required" and not called:
        return "a call of a tool was demanded and there is none"
    if isinstance(job.tool_choice, NamedTool) and job.tool_choice.function.name not in called:
        return "a call of one tool was demanded and there is none"
    if job.response_format is None or not job.response_format.wants_json or called:
        return None
    try:
        said: object = from_json(answer.content, allow_inf_nan=False)
    except ValueError:
        return "JSON was asked for and the answer is none"
    if job.response_format.type == "json_object" and not isinstance(said, dict):
        return "a JSON object was asked for and the answer is none"
    return None


def _says_something(content: str) -> bool:
    # Not strip(): a zero-width space is nothing either, and not white space to Python.
    return any(character.isprintable() and not character.isspace() for character in content)


def _short(text: str | None) -> str:
    return "".join(character for character in (text or "")[:100] if character.isprintable())
