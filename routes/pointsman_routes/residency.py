"""Whether a vendor can keep the region that is declared of it: what its own hosts and parameters promise.

Facts by vendor, each from its own documentation:

- OpenAI (developers.openai.com, data residency; openai-node, `data-residency.ts`): a host per region. `api.openai.com`
  puts no constraint on where a call is processed, for projects of any region.
- Anthropic (platform.claude.com, data residency): `inference_geo` is `global` or `us`; there is no other value. Models
  before Opus 4.6 and Sonnet 4.6 refuse it.
- Gemini by API key (firebase.google.com, AI Logic, locations): the model that answers may be anywhere.
- Vertex AI (docs.cloud.google.com, generative AI, data residency): processed in the region or multi-region of the
  endpoint; `global` may be any. Weakness: Google keeps that promise for listed models and regions only.
- OpenRouter (openrouter.ai/docs, in-region routing): `eu.` and `us.` hosts fail rather than leave their region. Its
  Europe has the United Kingdom and Switzerland in it.
- Mistral (docs.mistral.ai, regional inference): `api.eu.` and `api.us.`; `api.mistral.ai` is global. Its `eu` is the EU
  and EFTA.
- Amazon Bedrock: the region of the host and the geography of the profile; see `bedrock_profile.py`.
- xAI (docs.x.ai, regional endpoints): `us.`, formerly also `us-east-1.` and `eu-west-1.`; `api.x.ai` promises nothing.

A host that is not in these lists is a gateway, a server of one's own, or a vendor of whom nothing is known: the
declaration is taken at its word.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from .bedrock_profile import place_problem, residency_problem
from .errors import Problem
from .geography import PROMISE_NOTHING, may_be_processed_in
from .provider import Provider
from .provider_kind import ProviderKind

_GEMINI: Final = "generativelanguage.googleapis.com"
_CLAUDE: Final = "api.anthropic.com"
_BEFORE_GEO: Final = re.compile(r"claude-(?:instant|[23]|(?:opus|sonnet|haiku)-4(?:-[015])?(?:-?20\d{6})?$)")
_DEFAULT_HOST: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "api.openai.com",
    ProviderKind.ANTHROPIC: _CLAUDE,
    ProviderKind.GOOGLE: _GEMINI,
    ProviderKind.OPENROUTER: "openrouter.ai",
    ProviderKind.MISTRAL: "api.mistral.ai",
    ProviderKind.XAI: "api.x.ai",
}
_REGIONAL: Final[Mapping[str, Mapping[str, str]]] = {
    "api.openai.com": {f"{place}.api.openai.com": place for place in ("us", "eu", "au", "in", "jp", "ae")},
    "openrouter.ai": {"eu.openrouter.ai": "eu", "us.openrouter.ai": "us"},
    "api.mistral.ai": {"api.eu.mistral.ai": "eu", "api.us.mistral.ai": "us"},
    "api.x.ai": {f"{place}.api.x.ai": place for place in ("us", "us-east-1", "eu-west-1")},
}
"""Host that promises no place -> the same vendor's hosts that do, with the place of each."""
_PLACE_OF: Final = {host: place for hosts in _REGIONAL.values() for host, place in hosts.items()}
_VERTEX: Final = re.compile(r"(?:(?P<region>[a-z0-9-]+)-)?aiplatform(?:\.(?P<wide>[a-z]+)\.rep)?\.googleapis\.com")


def residency_problems(provider: Provider) -> list[Problem]:
    """Where the declared region contradicts what is known of the vendor; empty if it may be so."""
    if provider.region in PROMISE_NOTHING:
        return []
    told = _of_vertex if provider.project is not None else _of_host
    found = [
        Problem(f"providers.{provider.name}.region", message, remedy)
        for message, remedy in told(provider, str(provider.region))
    ]
    return found or list(_of_models(provider, str(provider.region)))


def _of_host(provider: Provider, declared: str) -> Iterator[tuple[str, str]]:
    host = _host(provider)
    place = _PLACE_OF.get(host)
    at_bedrock = place_problem(declared, provider.base_url or "", model="")
    if at_bedrock is not None:
        yield at_bedrock, "correct region or base_url"
    elif host == _GEMINI:
        yield (
            f"{host} promises no region, and {declared!r} is declared",
            "write project and location to use Vertex AI, or remove region",
        )
    elif host == _CLAUDE and declared != "us":
        yield (
            f'{host} can be asked to stay in "us" and nowhere else, and {declared!r} is declared',
            'use Claude through kind "bedrock", which has regions, or remove region',
        )
    elif host in _REGIONAL:
        fit = [known for known, there in _REGIONAL[host].items() if may_be_processed_in(declared, there)]
        hosts = " or ".join(f'"https://{known}..."' for known in fit or _REGIONAL[host])
        yield (
            f"{host} promises no region, and {declared!r} is declared",
            f"write base_url = {hosts}, or remove region",
        )
    elif place is not None and not may_be_processed_in(declared, place):
        yield f"{host} processes in {place!r}, and {declared!r} is declared", "correct region or base_url"


def _of_models(provider: Provider, declared: str) -> Iterator[Problem]:
    """Models that lead elsewhere, or cannot be asked to stay."""
    for tier in provider.tiers.values():
        message = None
        if provider.kind is ProviderKind.BEDROCK:
            message = residency_problem(provider, tier)
        elif _host(provider) == _CLAUDE and _BEFORE_GEO.match(tier.model):
            message = f"{tier.model!r} cannot be asked to stay in {declared!r}: it refuses inference_geo"
        if message is not None:
            yield Problem(
                f"providers.{tier.name.replace('/', '.tiers.')}.model",
                message,
                "name a model that stays in it, or correct the region of the provider",
            )


def _of_vertex(provider: Provider, declared: str) -> Iterator[tuple[str, str]]:
    location = str(provider.location)
    if location in PROMISE_NOTHING:
        yield (
            f"location {location!r} promises no region, and {declared!r} is declared",
            'write a location in that region, such as "europe-west4" in "eu", or remove region',
        )
    elif not may_be_processed_in(declared, location):
        yield f"location {location!r} is not known to lie in {declared!r}", "correct region or location"
    host = _VERTEX.fullmatch(_host(provider))
    place = (host["region"] or host["wide"] or "global") if host is not None else None
    if place == "global" or not may_be_processed_in(declared, place):
        yield f"base_url is an endpoint in {place!r}, and {declared!r} is declared", "correct region or base_url"


def _host(provider: Provider) -> str:
    """The host that is called, without a final dot; empty for one that is built from other keys."""
    if provider.base_url is not None:
        return (urlsplit(provider.base_url).hostname or "").rstrip(".")
    return _DEFAULT_HOST.get(provider.kind, "") if provider.project is None else ""
