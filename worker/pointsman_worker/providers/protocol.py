"""What every provider kind does: turn a job into a request, and an answer into an outcome.

A codec does no I/O, so it is tested without a socket. It belongs to one provider account and keeps nothing
between calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pointsman_routes import Evidence, Job, Outcome, Tier, Unsupported


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One job for one tier."""

    job: Job
    tier: Tier
    max_tokens: int
    """Most tokens the answer may have: the job's own, or the default of its class. Always sent, since some
    vendors reserve the model's maximum when it is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A POST, ready to send. Its repr shows neither the key nor the prompt."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """What came back over the wire. Its repr does not show the answer."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case; of a repeated header the last."""
    body: bytes = field(repr=False)
    """Decoded, whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one attempt ended, and the facts of it."""

    outcome: Outcome
    evidence: Evidence


class ProviderCodec(Protocol):
    """One provider account's wire format."""

    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """The request for a job, or why this kind cannot express it. Nothing is dropped or rewritten."""
        ...

    def read(self, tier: Tier, raw: RawReply) -> Reply:
        """Judge what came back to a call for this tier. Never raises, whatever the vendor sent."""
        ...
