"""Whether a job can ever pass the limits of a route; what never can is refused when it is handed in."""

from .provider import CountedTokens
from .route_table import RouteTable
from .task_class import TaskClass

_CHARACTERS_A_TOKEN = 8
"""Deliberately many: most text has about four, and an estimate must not refuse what would pass."""


class Fit:
    """The most that any tier of a route takes in one call, by the configured limits and context windows."""

    def __init__(self, table: RouteTable, task_class: TaskClass) -> None:
        self._bounds = tuple(_bound(table, tier) for tier in task_class.route)
        self.unlimited = any(bound == (None, None, None) for bound in self._bounds)
        """Whether some tier takes a job of any size, as far as the configuration says."""
        self._route = task_class.route

    def problem(self, characters: int, max_tokens: int) -> str | None:
        """Why no tier of the route can ever take a job of that size; None if one may.

        Args:
            characters: of the prompt. A token is taken to have eight, so the need is never over-estimated.
            max_tokens: most tokens the answer may have.
        """
        prompt = characters // _CHARACTERS_A_TOKEN
        if self.unlimited or any(_passes(bound, prompt, max_tokens) for bound in self._bounds):
            return None
        most = max(min(limit for limit in bound if limit is not None) for bound in self._bounds)
        return (
            f"needs at least {prompt + max_tokens:,} tokens at once, and no tier of the route "
            f"({', '.join(self._route)}) takes more than {most:,}; shorten the prompt, lower max_tokens, or add a tier"
        )


_Bound = tuple[int | None, int | None, int | None]
"""Most tokens of the prompt, of the answer, and of both; None is any number."""


def _bound(table: RouteTable, tier_name: str) -> _Bound:
    tier, provider = table.tiers[tier_name], table.provider_of(tier_name)
    limits = (tier.limits, provider.limits)
    prompt = _least(*(limit.itpm for limit in limits), *(limit.tpm for limit in limits))
    if provider.counts is not CountedTokens.MAX_TOKENS:
        return prompt, None, tier.context_window
    answer = _least(*(limit.otpm for limit in limits))
    return prompt, answer, _least(*(limit.tpm for limit in limits), tier.context_window or 0)


def _least(*limits: int) -> int | None:
    """The lowest limit; 0 is none."""
    return min((limit for limit in limits if limit > 0), default=None)


def _passes(bound: _Bound, prompt: int, answer: int) -> bool:
    needs = (prompt, answer, prompt + answer)
    return all(limit is None or need <= limit for need, limit in zip(needs, bound, strict=True))
