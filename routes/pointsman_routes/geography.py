"""Where data is processed: regions as vendors spell them, and whether one lies in another."""

from typing import Final

PROMISE_NOTHING: Final = frozenset({None, "global"})
"""Declared regions that keep nothing anywhere."""

_EU: Final = (
    "eu", "europe", "europe-central2", "europe-north1", "europe-north2", "europe-southwest1", "europe-west1",
    "europe-west3", "europe-west4", "europe-west8", "europe-west9", "europe-west10", "europe-west12",
    "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3",
    "francecentral", "francesouth", "germanynorth", "germanywestcentral", "italynorth", "northeurope", "polandcentral",
    "spaincentral", "swedencentral", "swedensouth", "westeurope", "austriaeast", "belgiumcentral", "denmarkeast",
)  # fmt: skip
_US: Final = (
    "us", "us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2", "us-west3",
    "us-west4",    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
    "centralus", "eastus", "eastus2", "northcentralus", "southcentralus", "westcentralus", "westus",
    "westus2", "westus3",
)  # fmt: skip
_GEOGRAPHY: Final = dict.fromkeys(_EU, "eu") | dict.fromkeys(_US, "us")
"""Region -> geography: Google Cloud's, AWS's and Azure's lists of regions. London and Zurich are in neither."""


def may_be_processed_in(declared: str | None, told: str | None) -> bool:
    """Whether what a vendor says of the place agrees with what is declared of the provider.

    A vendor that says nothing is taken at its declaration. What it says agrees if it is the same name, or if both lie
    in one geography: `westeurope` is in `eu`. A name nobody here knows does not agree with any other: better an answer
    withheld than one from the wrong place.

    Args:
        declared: the provider's `region`; None and `global` promise nothing.
        told: the vendor's own word for the place; None when it says nothing.
    """
    if declared in PROMISE_NOTHING or told is None:
        return True
    here, there = _plain(str(declared)), _plain(told)
    if here == there:
        return True
    # A wider declaration holds a narrower place; of two places the one is not in the other.
    return _GEOGRAPHY.get(there) == here


def _plain(region: str) -> str:
    """`Sweden Central` and `swedencentral` are one place."""
    return region.strip().lower().replace(" ", "")
