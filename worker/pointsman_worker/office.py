"""What a worker knows besides the job: its name, the route table, the prices."""

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman_routes import Rate, RouteTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The fixed surroundings of every settlement a worker writes."""

    worker: str
    """The worker's id, as records name it."""
    table: RouteTable
    rates: Mapping[str, Rate]
    """By tier."""
