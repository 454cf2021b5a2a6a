"""What stands above a monthly report's tables: what it is of, what must be said about it, a few figures. Pure."""

from typing import TYPE_CHECKING

from pointsman_routes import JobState, OutcomeKind

from .report_words import cost_words, share, token_words

if TYPE_CHECKING:
    from pointsman_audit import Frame, MonthlyReport


def summary(report: "MonthlyReport") -> list[tuple[str, str]]:
    """The month in a few figures, each with its name."""
    ended = sum(line.jobs for line in report.jobs)
    succeeded = sum(line.jobs for line in report.jobs if line.state == JobState.SUCCEEDED)
    ends = {kind: sum(one.calls for one in report.endings if one.outcome == kind) for kind in OutcomeKind}
    fallbacks, downgrades = (sum(one.jobs for one in some) for some in (report.fallbacks, report.downgrades))
    return [
        ("spent, USD", cost_words(report.spend)),
        ("of it estimates, USD", cost_words(report.estimated)),
        ("calls", f"{report.spend.calls:,}"),
        ("input tokens", token_words(report.spend.input_tokens, report.spend)),
        ("output tokens", token_words(report.spend.output_tokens, report.spend)),
        ("jobs taken in", f"{report.accepted:,}"),
        ("jobs ended", f"{ended:,}"),
        ("succeeded", f"{succeeded:,} ({share(succeeded, ended)})"),
        ("fallbacks", f"{fallbacks:,} ({share(fallbacks, ended)})"),
        ("downgraded", f"{downgrades:,} ({share(downgrades, ended)})"),
        ("refused calls", f"{ends[OutcomeKind.REFUSED]:,}"),
        ("empty answers", f"{ends[OutcomeKind.EMPTY]:,}"),
        ("truncated answers", f"{ends[OutcomeKind.TRUNCATED]:,}"),
        ("misrouted calls", f"{ends[OutcomeKind.MISROUTED]:,}"),
        ("held jobs", f"{report.held_jobs:,}"),
        ("without an end yet", f"jobs {report.open_jobs:,}, calls {report.open_calls:,}"),
    ]


def remarks(frame: "Frame", records: int) -> list[str]:
    """What must be said about the month before its figures; moments of one form compare as text."""
    found = []
    if frame.first_record_at is None:
        found.append("The ledger has no record yet.")
    elif frame.until <= frame.first_record_at:
        found.append(f"The ledger begins after this month: its first record is of {frame.first_record_at}.")
    if frame.made_at < frame.since:
        found.append(f"{frame.month} has not begun.")
    elif frame.made_at < frame.until:
        found.append(f"{frame.month} is not over: these are its figures up to {frame.made_at}.")
    if not records and not found:
        found.append(f"The ledger has no record of {frame.month}.")
    return found


def provenance(frame: "Frame") -> list[tuple[str, str]]:
    """What ties the figures to the chain: which ledger, up to which record, made when and by what."""
    return [
        ("month", f"{frame.month}, from {frame.since} to {frame.until} (UTC)"),
        ("ledger", frame.ledger_id),
        ("up to record", f"{frame.head_seq:,}"),
        ("hash of that record", frame.head_hash),
        ("made at", frame.made_at),
        ("made by", f"Pointsman {frame.version}"),
    ]
