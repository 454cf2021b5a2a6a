"""Names and figures of a monthly report in words: unknown is said to be unknown, never shown as zero. Pure."""

from typing import TYPE_CHECKING, Final

from pointsman_routes import format_usd

from .printable import known

if TYPE_CHECKING:
    from pointsman_audit import Spend

TRIALS: Final = "trials (routes test)"
_TRIALS_CLASS: Final = "-"
_NO_OWNER: Final = "unknown owner (older records)"


def class_words(name: str | None) -> str:
    """A class; trials have none."""
    return TRIALS if name == _TRIALS_CLASS else known(name)


def owner_words(name: str | None) -> str:
    """Who answers for a key."""
    return _NO_OWNER if name is None else known(name)


def cost_words(spend: "Spend") -> str:
    """What was spent in USD, exact to the micro-USD, and what is not in it."""
    return amount_words(spend.cost_microusd, spend.unknown_cost)


def amount_words(microusd: int | None, unknown_calls: int) -> str:
    """An amount in USD, and of how many calls nobody knows the cost."""
    unknown = f"{unknown_calls:,} {'call' if unknown_calls == 1 else 'calls'} unknown"
    if microusd is None:
        return unknown
    return format_usd(microusd) + (f" + {unknown}" if unknown_calls else "")


def share(part: int, total: int) -> str:
    """A part in percent; a little is never rounded to nothing, nor nearly all to all."""
    if part <= 0 or total <= 0:
        return "-"
    return "100%" if part >= total else f"{min(max(100 * part / total, 0.1), 99.9):.1f}%"


def token_words(told: int | None, spend: "Spend") -> str:
    """Tokens of some calls, and of how many they are not in it."""
    unknown = f"{spend.unknown_tokens:,} {'call' if spend.unknown_tokens == 1 else 'calls'} unknown"
    return unknown if told is None else f"{told:,}" + (f" + {unknown}" if spend.unknown_tokens else "")


def usd_words(microusd: int | None) -> str | None:
    """An amount in USD, exact to the micro-USD."""
    return None if microusd is None else format_usd(microusd)


def second_words(duration_us: int | None) -> str | None:
    """A duration in seconds."""
    return None if duration_us is None else f"{duration_us / 1_000_000:,.3f} s"
