"""The switch: tiers and providers off and on, jobs called off; and what a worker must know of a tier's gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from arq import ArqRedis

from pointsman_routes import JobState, RouteTable, SwitchRecord

from . import keys
from .connection import redis_errors
from .scripts import script_text


class BreakerState(StrEnum):
    """The state of a tier's circuit breaker."""

    CLOSED = "closed"
    """Calls pass."""
    OPEN = "open"
    """It failed too often of late; no call passes."""
    HALF_OPEN = "half-open"
    """One call passes, to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether a tier or provider takes calls at a moment, and why not."""

    scope: str
    disabled: str | None = None
    """The operator's reason."""
    disabled_by: str | None = None
    closed: str | None = None
    """Why the dispatcher itself closed it: exhausted, unauthorized or misrouted."""
    closed_for_s: float | None = None
    """None with a reason: until an operator enables it."""
    breaker: BreakerState = BreakerState.CLOSED
    throttled_for_s: float = 0
    throttles: int = 0
    """429s since Redis began to keep count."""
    levels: Mapping[str, float]
    """Of its buckets, as of the last claim."""
    token_factor: float = 1
    """Real tokens per estimated token."""

    @property
    def open(self) -> bool:
        """Whether jobs may be queued for it."""
        return self.disabled is None and self.closed is None and self.breaker is not BreakerState.OPEN


class Switchboard:
    """Reads and throws switches."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._switch = redis.register_script(script_text("switch"))

    async def disable(self, table: RouteTable, scope: str, *, reason: str, by: str) -> None:
        """Take no more jobs at a tier or provider; its queued jobs move on with the next claims.

        Raises:
            KeyError: no tier or provider of that name.
        """
        await self._throw(table, "disable", scope, reason, by)

    async def enable(self, table: RouteTable, scope: str, *, reason: str, by: str) -> None:
        """Take jobs again: undoes `disable`, a closing by the dispatcher, and an open breaker."""
        await self._throw(table, "enable", scope, reason, by)

    async def cancel(self, job_id: str, *, by: str) -> JobState | None:
        """Call a job off: no call for it starts from now on, and the answer of one under way is not delivered.

        The job becomes final with the next claim of any worker.

        Returns:
            The state it is in, final if it had ended before; None when it is not known.
        """
        with redis_errors():
            reply = await self._switch(args=["cancel", job_id, "", by, ""])
        match reply:
            case [b"final", state]:
                return JobState(state.decode())
            case [b"ok", state]:
                return JobState(state.decode())
            case _:
                return None

    async def gates(self, scopes: Sequence[str], *, now_ms: float | None = None) -> dict[str, Gate]:
        """The gates of some tiers and providers, in one round trip.

        Args:
            scopes: names of tiers and providers.
            now_ms: the moment they are seen at; the server's when absent.
        """
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                for scope in scopes:
                    pipe.hgetall(keys.GATE + scope)
                (seconds, micros), *found = await pipe.execute()
        moment = seconds * 1000 + micros / 1000 if now_ms is None else now_ms
        return {scope: _gate(scope, fields, moment) for scope, fields in zip(scopes, found, strict=True)}

    async def open_tiers(self, table: RouteTable, tiers: Sequence[str]) -> frozenset[str]:
        """Those of the tiers that are open, their providers too."""
        providers = {tier: tier.partition("/")[0] for tier in tiers}
        gates = await self.gates([*tiers, *set(providers.values())])
        return frozenset(
            tier for tier in tiers if tier in table.tiers and gates[tier].open and gates[providers[tier]].open
        )

    async def _throw(self, table: RouteTable, action: str, scope: str, reason: str, by: str) -> None:
        tiers = [scope] if scope in table.tiers else [tier.name for tier in table.providers[scope].tiers.values()]
        record = SwitchRecord.model_validate(
            {"scope": scope, "action": action, "reason": reason, "by": by, "policy_digest": table.policy_digest}
        )
        with redis_errors():
            await self._switch(args=[action, scope, reason, by, record.model_dump_json(), *tiers])


def _gate(scope: str, raw: Mapping[bytes, bytes], now_ms: float) -> Gate:
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    closed_until = float(fields.get("closed_until", 0))
    closed = closed_until < 0 or closed_until > now_ms
    breaker = BreakerState.CLOSED
    if "open_until" in fields:
        breaker = BreakerState.OPEN if float(fields["open_until"]) > now_ms else BreakerState.HALF_OPEN
    return Gate(
        scope=scope,
        disabled=fields.get("disabled"),
        disabled_by=fields.get("disabled_by"),
        closed=fields.get("closed_reason", "closed") if closed else None,
        closed_for_s=(closed_until - now_ms) / 1000 if closed_until > now_ms else None,
        breaker=breaker,
        throttled_for_s=max(0.0, (float(fields.get("throttled_until", 0)) - now_ms) / 1000),
        throttles=int(fields.get("throttles", 0)),
        levels={name: float(fields[name]) for name in ("rpm", "tpm", "itpm", "otpm") if name in fields},
        token_factor=float(fields.get("factor", 1)),
    )
