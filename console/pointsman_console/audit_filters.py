"""Options that say which records are meant, shared by the commands that ask the ledger."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pointsman_routes import OutcomeKind, UsageProblem, parse_duration

from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pointsman_audit import UnknownWord

Kind = Literal[
    "final", "attempt", "accepted", "moved", "held", "released", "switch", "policy_change", "key_change", "erasure",
    "export", "quarantined", "any",
]  # fmt: skip
Text = str | None

OfKind = Annotated[
    Kind | None,
    typer.Option(
        "--kind",
        help="What to list: final is how each job ended, attempt is each call to a provider, any is everything in "
        "one log. Without it: attempt where --owner, --outcome or --usage is asked for, final otherwise.",
    ),
]
OfClass = Annotated[Text, typer.Option("--class", help="Only this class.")]
OfTier = Annotated[
    Text, typer.Option("--tier", help="Only what this tier answered, or was asked for: openai/fast. Of moves: left.")
]
OfProvider = Annotated[Text, typer.Option("--provider", help="Only this provider.")]
OfOwner = Annotated[Text, typer.Option("--owner", help="Only calls under a key that this owner answers for.")]
OfModel = Annotated[
    Text, typer.Option("--model", help="Only this model: as the vendor named it; of attempts, as it was asked for.")
]
OfRegion = Annotated[Text, typer.Option("--region", help="Only what was processed in this region.")]
OfState = Annotated[
    Literal["succeeded", "failed", "expired", "cancelled"] | None,
    typer.Option("--state", help="Only jobs that ended so."),
]
OfOutcome = Annotated[
    OutcomeKind | None,
    typer.Option("--outcome", help="Only calls that ended so; see docs/outcomes.md."),
]
OfReason = Annotated[
    Text, typer.Option("--reason", help="Only jobs that left their primary, moved or were held for this: rate_limited.")
]
OfError = Annotated[Text, typer.Option("--error", help="Only jobs that failed of this: the code of their error.")]
OfUsage = Annotated[
    Literal["vendor", "estimate", "none"] | None,
    typer.Option(
        "--usage",
        help="Only calls whose tokens the vendor counted, that may have been billed and nobody said how much "
        "(estimate), or that were not billed (none).",
    ),
]
Since = Annotated[
    Text, typer.Option("--since", help="From this moment on: 2026-01-31T09:30:00Z, or 2h for two hours ago.")
]
Until = Annotated[Text, typer.Option("--until", help="Before this moment.")]
Fallback = Annotated[bool, typer.Option("--fallback", help="Only what another tier than the primary answered.")]
Downgraded = Annotated[bool, typer.Option("--downgraded", help="Only answers below the class's quality floor.")]
Mismatch = Annotated[bool, typer.Option("--mismatch", help="Only where another model answered than was asked.")]
OfBatch = Annotated[Text, typer.Option("--batch", help="Only this batch.")]
OfJob = Annotated[Text, typer.Option("--job", help="Only this job, by its id.")]
OfCustomId = Annotated[Text, typer.Option("--custom-id", help="Only jobs with this custom id, whichever their batch.")]
AsJson = Annotated[bool, typer.Option("--json", help="One object a line.")]

_DURATION = re.compile(r"(\d+(\.\d+)?(ms|s|m|h|d))+", re.ASCII)
_NAMED = 20
"""Known words that a remark names."""
OPTIONS = {"task_class": "class", "error_code": "error", "usage_source": "usage"}
"""What a field of the filter is called on the command line, where that is not its own name."""


def moment(option: str, text: str | None) -> datetime | None:
    """Read a moment, or a duration before now.

    Raises:
        UsageProblem: if it is neither; names the option.
    """
    if text is None:
        return None
    if _DURATION.fullmatch(text):
        return datetime.now(UTC) - _duration(option, text)
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # of another zone, the first and the last day may have no date in UTC
        raise UsageProblem(
            f"{option}: {text!r} is not a moment; write 2026-01-31T09:30:00Z, or 2h for two hours ago"
        ) from None


def span(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Read both moments.

    Raises:
        UsageProblem: if one is none, or nothing can be between them.
    """
    begin, end = moment("--since", since), moment("--until", until)
    if begin is not None and end is not None and begin >= end:
        raise UsageProblem(
            f"--since {since} is not before --until {until}, so nothing is between; write an earlier --since or a "
            "later --until"
        )
    return begin, end


def _duration(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageProblem(f"{option}: {text!r} is {error}") from None


def unknown_remarks(kind: str, unknown: "Iterable[UnknownWord]") -> list[str]:
    """Say of words that no record has which ones some have; for an answer that is empty."""
    of_kind = "" if kind == "any" else f"{kind} "
    return [
        f"no {of_kind}record names the {option} {word!r}; known: {_some(known)}"
        if known
        else f"{of_kind}records name no {option}; those of another --kind may"
        for option, word, known in ((OPTIONS.get(field, field), word, known) for field, word, known in unknown)
    ]


def _some(known: "Sequence[str]") -> str:
    more = len(known) - _NAMED
    return ", ".join(map(printable, known[:_NAMED])) + (f" and {more:,} more, see --group-by" if more > 0 else "")
