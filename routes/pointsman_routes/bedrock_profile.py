"""Where Amazon Bedrock processes a call: the region of its host, and the geography of its inference profile.

Source: Amazon Bedrock user guide, geographic and global cross-Region inference. A request enters at the region of the
host, which keeps whatever is stored. A model name that begins with a geography (`eu.`, `us.`, `apac.`, `jp.`, `au.`,
`us-gov.`) names a profile that may move the prompt to any region of it; one that begins with `global.` to any region at
all. Any other model stays where it was asked for.

Weakness: an application inference profile and a prompt router do not say in their name where they lead. The declaration
is taken at its word for them, as it is for a host that is not one of Bedrock's.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from .geography import PROMISE_NOTHING, may_be_processed_in
from .provider import Provider
from .tier import Tier

_HOST: Final = re.compile(
    r"(?:[a-z0-9-]+\.)?bedrock-runtime(?:-fips)?\.(?P<region>[a-z]{2,}(?:-[a-z]+)+-[0-9])\.[a-z0-9.-]+"
)
"""Of any of AWS's partitions, which differ in what comes after the region; in a VPC it is `vpce.amazonaws.com`."""
_PROFILE: Final = re.compile(r"(?:^|:inference-profile/)(?P<geography>[a-z]{2}|us-gov|apac|global)\.")
"""In the name or the ARN of a model. No maker of models has a name of two letters."""
_WIDER: Final = {
    "ap-northeast-1": "jp",
    "ap-northeast-3": "jp",
    "ap-southeast-2": "au",
    "ap-southeast-4": "au",
    "au": "apac",
    "ca-central-1": "ca",
    "ca-west-1": "ca",
    "eusc-de-east-1": "eu",
    "jp": "apac",
    "us-gov": "us",
    "us-gov-east-1": "us-gov",
    "us-gov-west-1": "us-gov",
}
"""What the house's table of geographies does not have: a place of Bedrock's -> the next wider one."""


def bedrock_region(base_url: str) -> str | None:
    """The AWS region of a Bedrock endpoint, public, FIPS, dual-stack or in a VPC; None for any other host."""
    try:
        host = (urlsplit(base_url).hostname or "").rstrip(".")
    except ValueError:
        return None
    found = _HOST.fullmatch(host)
    return found["region"] if found is not None else None


def place_problem(declared: str | None, base_url: str, model: str) -> str | None:
    """Why a call for this model may be processed outside the declared region; None if it may not.

    Args:
        declared: the provider's `region`; None and `global` promise nothing.
        base_url: the provider's.
        model: a model's or profile's name or ARN.
    """
    if declared in PROMISE_NOTHING:
        return None
    return next(_problems(str(declared), base_url, model), None)


def residency_problem(provider: Provider, tier: Tier) -> str | None:
    """Why the tier may be processed outside its provider's declared region; None if it may not."""
    return place_problem(provider.region, provider.base_url or "", tier.model)


def _problems(declared: str, base_url: str, model: str) -> Iterator[str]:
    region = bedrock_region(base_url)
    if region is not None and not _lies_in(region, declared):
        yield f"base_url is in {region!r}, and {declared!r} is declared"
    profile = _PROFILE.search(model)
    geography = profile["geography"] if profile is not None else None
    if geography == "global":
        yield f"the profile {model!r} may be processed in any region, and {declared!r} is declared"
    elif geography is not None and not _lies_in(geography, declared):
        yield f"the profile {model!r} may be processed anywhere in {geography!r}, and {declared!r} is declared"


def _lies_in(place: str, declared: str) -> bool:
    if may_be_processed_in(declared, place):
        return True
    wider = _WIDER.get(place) or ("apac" if place.startswith("ap-") else None)
    return wider is not None and _lies_in(wider, declared)
