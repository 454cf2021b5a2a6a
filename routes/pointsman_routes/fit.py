"""Whether a job can ever pass the limits of a route; what never can is refused when it is handed in."""

from collections.abc import Iterator
from dataclasses import dataclass

from .provider import CountedTokens
from .route_table import RouteTable
from .task_class import TaskClass

_CHARACTERS_A_TOKEN = 8
"""Deliberately many: most text has about four. Runs of blanks have more, and an image counts as 800 tokens, so a prompt
of little else may be over-estimated."""
_TIERS_SHOWN = 3


class Fit:
    """The most that any tier of a route takes in one call, by the configured limits and context windows."""

    def __init__(self, table: RouteTable, task_class: TaskClass) -> None:
        self._bounds = tuple(tuple(_bounds(table, tier)) for tier in task_class.route)
        self.unlimited = not all(self._bounds)
        """Whether some tier takes a job of any size, as far as the configuration says."""

    def problem(self, characters: int, max_tokens: int) -> str | None:
        """Why no tier of the route can ever take a job of that size; None if one may.

        Args:
            characters: of the prompt.
            max_tokens: most tokens the answer may have.
        """
        if self.unlimited:
            return None
        prompt = characters // _CHARACTERS_A_TOKEN
        passed = [
            next((bound for bound in bounds if bound.is_passed(prompt, max_tokens)), None) for bounds in self._bounds
        ]
        reasons = [bound.reason(prompt, max_tokens) for bound in passed if bound is not None]
        if len(reasons) < len(self._bounds):
            return None
        more = f"; and {len(reasons) - _TIERS_SHOWN} more tiers" if len(reasons) > _TIERS_SHOWN else ""
        shown = "; ".join(reasons[:_TIERS_SHOWN])
        return f"fits no tier of its route: {shown}{more}. Shorten the prompt, lower max_tokens, or add a tier"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A number of tokens that no call of a tier may have more of."""

    where: str
    most: int
    of_prompt: bool
    of_answer: bool

    def need(self, prompt: int, answer: int) -> int:
        return prompt * self.of_prompt + answer * self.of_answer

    def is_passed(self, prompt: int, answer: int) -> bool:
        return self.need(prompt, answer) > self.most

    def reason(self, prompt: int, answer: int) -> str:
        need = f"{self.need(prompt, answer):,}"
        if not self.of_answer:
            return f"{self.where} is {self.most:,}, the prompt has at least {need} tokens"
        if not self.of_prompt:
            return f"{self.where} is {self.most:,}, max_tokens is {need}"
        return f"{self.where} is {self.most:,}, prompt and max_tokens come to at least {need}"


def _bounds(table: RouteTable, tier_name: str) -> Iterator[_Bound]:
    tier, provider = table.tiers[tier_name], table.provider_of(tier_name)
    reserves = provider.counts is CountedTokens.MAX_TOKENS
    for scope, limits in ((tier_name, tier.limits), (provider.name, provider.limits)):
        where = f"limit a minute of {scope}"
        if limits.itpm:
            yield _Bound(where=f"the itpm {where}", most=limits.itpm, of_prompt=True, of_answer=False)
        if limits.tpm:
            yield _Bound(where=f"the tpm {where}", most=limits.tpm, of_prompt=True, of_answer=reserves)
        if limits.otpm and reserves:
            yield _Bound(where=f"the otpm {where}", most=limits.otpm, of_prompt=False, of_answer=True)
    if tier.context_window:
        where = f"the context window of {tier_name}"
        yield _Bound(where=where, most=tier.context_window, of_prompt=True, of_answer=True)
