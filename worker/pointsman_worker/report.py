"""What came of asking a vendor, and what it cost."""

from dataclasses import dataclass

from pointsman_queue import Lease
from pointsman_routes import Evidence, Outcome, OutcomeKind, Rate, Transient, Unknown, Usage

_ANSWERED = frozenset(
    {OutcomeKind.OK, OutcomeKind.EMPTY, OutcomeKind.TRUNCATED, OutcomeKind.REFUSED, OutcomeKind.MISROUTED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of asking a vendor."""

    outcome: Outcome
    evidence: Evidence
    called: bool = True
    """Whether a request was sent, or may have been."""
    duration_us: int | None = None
    """Microseconds from the request until the whole answer was read, the call failed or was cut, by a monotonic clock;
    waiting for a connection is in it. None when no request was sent."""

    @property
    def may_be_billed(self) -> bool:
        """Whether the vendor may charge for the call. A refused request is not charged; an answer or silence may be."""
        match self.outcome:
            case Unknown():
                return self.called
            case Transient(may_be_billed=billed):
                return billed
            case outcome:
                return self.called and outcome.kind in _ANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What an attempt used and cost."""

    usage: Usage | None
    source: str
    """`vendor`; `estimate` when it may have been billed and nobody said how much; `none` when it was not."""
    microusd: int

    @property
    def used(self) -> Usage | None:
        """Tokens to correct the buckets by; None leaves the estimate charged."""
        if self.source == "estimate":
            return None
        return self.usage or Usage(input_tokens=0, output_tokens=0)


def charge_for(lease: Lease, report: Report, rate: Rate) -> Charge:
    """What to charge for an attempt. Unknown is never zero: the full estimate stands in for it.

    The price is that of the class of service the vendor says it answered at. A cost that the vendor itself tells is
    charged as it stands, whatever the price: it knows what it bills.
    """
    evidence = report.evidence
    told, usage = evidence.told_microusd, evidence.usage
    if usage is None and told is None and not report.may_be_billed:
        return Charge(usage=None, source="none", microusd=0)
    used = usage or Usage(input_tokens=lease.estimate_in, output_tokens=lease.estimate_out)
    cost = told if told is not None else rate.cost(used, evidence.service_tier)
    return Charge(usage=used, source="vendor" if usage is not None else "estimate", microusd=cost)
