"""The switch: tiers and providers off and on, jobs called off; and what a worker must know of a tier's gate."""

from collections.abc import Sequence
from typing import NamedTuple

from arq import ArqRedis

from pointsman_routes import JobState, RouteTable, SwitchRecord

from . import keys
from .connection import redis_errors
from .gate import Gate, read_gate
from .scripts import script_text


class Openings(NamedTuple):
    """Tiers as they are at a moment."""

    open: frozenset[str]
    """Switch, breaker and account let jobs be queued."""
    served: frozenset[str] = frozenset()
    """A worker lives, as far as is known; open or not."""


class Switchboard:
    """Reads and throws switches."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._switch = redis.register_script(script_text("switch"))

    async def disable(self, table: RouteTable, scope: str, *, reason: str, by: str, abort: bool = False) -> None:
        """Take no more jobs at a tier or provider; its queued jobs move on with the next claims.

        Args:
            table: the route table.
            scope: a tier or provider.
            reason: why; stands in the ledger.
            by: who.
            abort: whether calls in flight are cut too: their workers hear of it at once, at the latest with their next
                heartbeat. A call that is cut may have been billed.

        Raises:
            KeyError: no tier or provider of that name.
        """
        await self._throw(table, "disable", scope, reason, by, abort=abort)

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
        return {scope: read_gate(scope, fields, moment) for scope, fields in zip(scopes, found, strict=True)}

    async def openings(self, table: RouteTable, tiers: Sequence[str]) -> Openings:
        """Which of the tiers are open, their providers too, and at which a worker lives."""
        providers = {tier: tier.partition("/")[0] for tier in tiers}
        gates = await self.gates([*tiers, *set(providers.values())])
        return Openings(
            open=frozenset(
                tier for tier in tiers if tier in table.tiers and gates[tier].open and gates[providers[tier]].open
            ),
            served=frozenset(tier for tier in tiers if gates[tier].served),
        )

    async def _throw(
        self, table: RouteTable, action: str, scope: str, reason: str, by: str, *, abort: bool = False
    ) -> None:
        tiers = [scope] if scope in table.tiers else [tier.name for tier in table.providers[scope].tiers.values()]
        record = SwitchRecord.model_validate(
            {
                "scope": scope,
                "action": action,
                "reason": reason,
                "by": by,
                "abort": abort,
                "policy_digest": table.policy_digest,
            }
        )
        with redis_errors():
            how = "abort" if abort else ""
            await self._switch(args=[action, scope, reason, by, record.model_dump_json(), how, *tiers])
