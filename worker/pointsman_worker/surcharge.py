"""What comes on top of a listed price, or off it: for the region of a provider, and for a class of service.

Sources, each the vendor's own unless said otherwise:

- OpenAI: developers.openai.com, data residency: 10 % more at the host of a region, for models released on or after
  2026-03-05. Which aliases are older: its list of models.
- Anthropic: platform.claude.com, data residency and pricing: 1.1 times for `inference_geo` "us". `auto` and
  `standard_only` (service tiers) differ in the commitment that is used, not in a price per token.
- Mistral: docs.mistral.ai, regional inference: 1.1 times at `api.eu.` and `api.us.`.
- xAI: docs.x.ai, pricing and regional endpoints: 10 % more at `us.api.x.ai`. A `priority` answer is dearer by model.
- Azure: genai-prices lists global deployments. A deployment in the data zone of the EU or the US costs 10 % more
  (directionsonmicrosoft.com, deployment types); what one in a single region costs is in no table. Flex is half the
  price (learn.microsoft.com, flex processing).
- Google: genai-prices lists the global endpoint. Elsewhere Vertex AI costs 10 % more: so LiteLLM bills it, and so the
  list says of Claude there. Weakness: older Gemini models may cost the same everywhere, and are then over-estimated.
- Bedrock: genai-prices lists regional and global profiles apart, Claude's at a price that all commercial regions share.
  Everything else it lists as it costs in us-east-1. `flex` and `priority` differ by model and are in no table.
- Groq: console.groq.com, service tiers and flex processing: flex costs what on-demand costs. `performance` is capacity
  that was bought, not a price per token.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

from pointsman_routes import Provider, ProviderKind, bedrock_region


@dataclass(frozen=True, slots=True, kw_only=True)
class Surcharge:
    """A factor on every price of a model."""

    factor: Decimal
    why: str
    """In a word; empty when it is 1."""


_NONE: Final = Surcharge(factor=Decimal(1), why="")
_TENTH: Final = Surcharge(factor=Decimal("1.1"), why="regional")

_FROM: Final = "2026-03-05"
_DATED: Final = re.compile(r"-(\d{4}-\d{2}-\d{2})$")
_OLDER: Final = re.compile(r"(?:gpt-3\.5|gpt-4|gpt-4o|gpt-4\.[15]|gpt-5|gpt-5\.[12]|o1|o3|o4-mini)(?:-(?!.*latest).*)?")
"""OpenAI's families from before that day; what moves on, such as `gpt-5-chat-latest`, is of no day."""
_GLOBAL_HOSTS: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "api.openai.com",
    ProviderKind.MISTRAL: "api.mistral.ai",
    ProviderKind.XAI: "api.x.ai",
}
_ZONES: Final = frozenset({"eu", "us"})
_LISTED_REGIONS: Final = frozenset({"us-east-1", "us-east-2", "us-west-2"})
"""In Bedrock's own table of prices these three are alike."""
_APART: Final = ("us-gov-", "eusc-", "cn-")
"""AWS regions outside the commercial partition, which have prices of their own."""

SERVICE_FACTORS: Final[Mapping[ProviderKind, Mapping[str, Decimal]]] = {
    # What a project sets for `auto` the answer says, and that is charged.
    ProviderKind.OPENAI: {"auto": Decimal(1), "default": Decimal(1)},
    ProviderKind.AZURE: {"auto": Decimal(1), "default": Decimal(1), "flex": Decimal("0.5")},
    ProviderKind.ANTHROPIC: {"auto": Decimal(1), "standard_only": Decimal(1), "standard": Decimal(1)},
    ProviderKind.GOOGLE: {"standard": Decimal(1), "ON_DEMAND": Decimal(1)},
    ProviderKind.GROQ: {"auto": Decimal(1), "on_demand": Decimal(1), "flex": Decimal(1)},
    ProviderKind.BEDROCK: {"default": Decimal(1)},
    ProviderKind.XAI: {"default": Decimal(1)},
}
"""A class of service, as it is asked for or answered -> a factor on the listed price. What the price list itself has
for a class comes before it; a class in neither has no known price."""


def surcharge_for(provider: Provider, model: str, listed: str) -> Surcharge | None:
    """What the region of a provider adds to the listed price; None when the listed price says nothing of it.

    Where it cannot be told whether something is added, it is: nothing is under-estimated.

    Args:
        provider: with its region and address.
        model: as the vendor is asked for it.
        listed: the price list's id of that model.
    """
    rule = _RULES.get(provider.kind)
    return rule(provider, model, listed) if rule is not None else _NONE


def _of_host(provider: Provider, model: str, _listed: str) -> Surcharge:
    if not _is_regional(provider):
        return _NONE
    return _NONE if provider.kind is ProviderKind.OPENAI and _is_older(model) else _TENTH


def _is_regional(provider: Provider) -> bool:
    """Whether a call goes to the host of a region. Behind a gateway, what is declared decides."""
    at_large = _GLOBAL_HOSTS[provider.kind]
    host = (urlsplit(provider.base_url).hostname or "").rstrip(".") if provider.base_url is not None else at_large
    if host == at_large:
        return False
    return host.endswith(at_large.removeprefix("api")) or _keeps_to_a_region(provider)


def _is_older(model: str) -> bool:
    dated = _DATED.search(model)
    return dated[1] < _FROM if dated is not None else _OLDER.fullmatch(model) is not None


def _keeps_to_a_region(provider: Provider) -> bool:
    return provider.region not in (None, "global")


def _of_claude(provider: Provider, _model: str, _listed: str) -> Surcharge:
    return _TENTH if provider.region == "us" else _NONE


def _of_vertex(provider: Provider, _model: str, _listed: str) -> Surcharge:
    return _TENTH if provider.project is not None and provider.location != "global" else _NONE


def _of_azure(provider: Provider, _model: str, _listed: str) -> Surcharge | None:
    if not _keeps_to_a_region(provider):
        return _NONE
    return _TENTH if provider.region in _ZONES else None


def _of_bedrock(provider: Provider, _model: str, listed: str) -> Surcharge | None:
    region = bedrock_region(provider.base_url or "")
    if ".anthropic." in listed:
        return _NONE if not (region or "").startswith(_APART) else None
    return _NONE if region in _LISTED_REGIONS else None


_RULES: Final[Mapping[ProviderKind, Callable[[Provider, str, str], Surcharge | None]]] = {
    ProviderKind.OPENAI: _of_host,
    ProviderKind.MISTRAL: _of_host,
    ProviderKind.XAI: _of_host,
    ProviderKind.ANTHROPIC: _of_claude,
    ProviderKind.GOOGLE: _of_vertex,
    ProviderKind.AZURE: _of_azure,
    ProviderKind.BEDROCK: _of_bedrock,
}
