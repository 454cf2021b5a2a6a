"""Where many jobs stand, as far as Redis knows, and what is left of those that are over or half lost."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, cast

from arq import ArqRedis
from redis.asyncio.client import Pipeline

from pointsman_routes import JobState

from . import keys
from .connection import redis_errors

_SETS = {
    JobState.QUEUED: keys.QUEUE,
    JobState.DELAYED: keys.DELAYED,
    JobState.LEASED: keys.LEASES,
}
_SIGNS = ["state", "tier", "digest", "accepted"]
_LONGEST_COUNT = 18
"""Digits."""
_FINAL = frozenset(state.value.encode() for state in JobState if state.final)


class Whereabouts(StrEnum):
    """Where a job is."""

    PLACED = "placed"
    """It waits or is worked on: it is where its state says it is."""
    OVER = "over"
    """It has ended."""
    GONE = "gone"
    """Redis does not know it."""
    ASTRAY = "astray"
    """Redis knows it, and it is in none of the places from which it could go on."""
    ODD = "odd"
    """What stands under its name is no job."""


class Remains(NamedTuple):
    """What Redis has of a job that is over."""

    fields: Mapping[str, str]
    result: bytes | None


class JobPlaces:
    """Looks up jobs, a few hundred at a time, in a few round trips."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def look(self, job_ids: Sequence[str]) -> dict[str, Whereabouts]:
        """Where each job is. One that moves meanwhile has a place.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        first = await self._signs(job_ids)
        found: dict[str, Whereabouts] = {}
        unsure: list[tuple[str, str]] = []
        for job_id, signs in zip(job_ids, first, strict=True):
            place = _at_first_sight(signs)
            if place is not None:
                found[job_id] = place
            else:
                unsure.append((job_id, _set_of(signs)))
        # Hash and set in one moment; a hash that has changed since is of a job that somebody is moving.
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                for job_id, name in unsure:
                    pipe.hmget(keys.JOB + job_id, _SIGNS)
                    pipe.zscore(name, job_id)
                replies = await pipe.execute(raise_on_error=False) if unsure else []
        before = dict(zip(job_ids, first, strict=True))
        for (job_id, _), signs, score in zip(unsure, replies[::2], replies[1::2], strict=True):
            lost = score is None and signs == before[job_id]
            found[job_id] = Whereabouts.ASTRAY if lost else Whereabouts.PLACED
        return found

    async def clear(self, job_id: str) -> bool:
        """Remove what is left of a job that is astray, and no longer count it in its batch.

        Whoever puts a job somewhere also writes its hash, so it is enough to see that this has not changed.

        Returns:
            False if it is not astray, or no longer: then nothing was done.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        key = keys.JOB + job_id

        async def step(pipe: Pipeline) -> bool:
            # redis-py types one method for its blocking and its asynchronous client.
            *known, batch, waits = await cast("Any", pipe.hmget(key, [*_SIGNS, "batch", "waits"]))
            place = _at_first_sight(known)
            astray = place is Whereabouts.ASTRAY or (
                place is None and await pipe.zscore(_set_of(known), job_id) is None
            )
            counted = batch is not None and await cast("Any", pipe.hexists(keys.BATCH + batch.decode(), "total"))
            pipe.multi()  # type: ignore[no-untyped-call]
            if astray:
                pipe.delete(key)
                if known[1] is not None:
                    pipe.zrem(keys.SPILL + known[1].decode(), job_id)
                for tier in filter(None, (waits or b"").decode().split(",")):
                    pipe.zrem(keys.HELD_FOR + tier, job_id)
                if counted:
                    pipe.hincrby(keys.BATCH + batch.decode(), "total", -1)
            return astray

        with redis_errors():
            return bool(await self._redis.transaction(step, key, value_from_callable=True))

    async def over(self, cursor: int, count: int) -> tuple[int, list[str]]:
        """Jobs that have ended, a stretch of the key space at a time.

        Args:
            cursor: 0, or what the last call gave.
            count: names to look at, about; other keys count too.

        Returns:
            The next cursor, 0 after the last stretch, and the jobs' ids.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with redis_errors():
            following, names = await self._redis.scan(cursor, match=keys.JOB + "*", count=count)
        job_ids = [name.decode("utf-8", "replace").removeprefix(keys.JOB) for name in names]
        ended = zip(job_ids, await self._signs(job_ids), strict=True)
        return int(following), [job_id for job_id, signs in ended if _at_first_sight(signs) is Whereabouts.OVER]

    async def remains(self, job_ids: Sequence[str]) -> dict[str, Remains]:
        """What there is of jobs that are over; those that are not, or not any more, are left out.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        if not job_ids:
            return {}
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                for job_id in job_ids:
                    pipe.hgetall(keys.JOB + job_id)
                    pipe.get(keys.RESULT + job_id)
                replies = await pipe.execute(raise_on_error=False)
        return {
            job_id: Remains(_texts(fields), result if isinstance(result, bytes) else None)
            for job_id, fields, result in zip(job_ids, replies[::2], replies[1::2], strict=True)
            if isinstance(fields, dict) and fields.get(b"state") in _FINAL
        }

    async def totals(self, batch_ids: Iterable[str]) -> tuple[int, dict[str, int]]:
        """How many jobs batches are said to have, and when that was: microseconds, by the server's clock.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        names = list(batch_ids)
        with redis_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.time()
                for name in names:
                    pipe.hget(keys.BATCH + name, "total")
                (seconds, micros), *totals = await pipe.execute()
        return seconds * 1_000_000 + micros, {name: _count(total) for name, total in zip(names, totals, strict=True)}

    async def uncount(self, batch_id: str, jobs: int) -> None:
        """Count some jobs of a batch no longer: they are about to be taken in, and counted, once more.

        Raises:
            ServiceUnavailable: Redis does not answer.
        """
        with redis_errors():
            # redis-py types one method for its blocking and its asynchronous client.
            await cast("Any", self._redis.hincrby(keys.BATCH + batch_id, "total", -jobs))

    async def _signs(self, job_ids: Sequence[str]) -> list[Any]:
        if not job_ids:
            return []
        with redis_errors():
            async with self._redis.pipeline(transaction=False) as pipe:
                for job_id in job_ids:
                    pipe.hmget(keys.JOB + job_id, _SIGNS)
                replies: list[Any] = await pipe.execute(raise_on_error=False)
        return replies


def _at_first_sight(signs: Any) -> Whereabouts | None:
    """Where a job is by its hash alone; None if that depends on the set its state names."""
    if isinstance(signs, Exception):
        return Whereabouts.ODD
    state, tier, *others = signs
    if state is None:
        return Whereabouts.GONE if tier is None and not any(others) else Whereabouts.ASTRAY
    if state in _FINAL:
        return Whereabouts.OVER
    if state == JobState.HELD.value.encode() or (tier is not None and state.decode("utf-8", "replace") in _SETS):
        return None
    return Whereabouts.ASTRAY


def _set_of(signs: Any) -> str:
    """The set that a job must be in by its hash."""
    state, tier = JobState(signs[0].decode()), signs[1]
    return keys.HELD if state is JobState.HELD else _SETS[state] + tier.decode("utf-8", "replace")


def _count(number: bytes | None) -> int:
    """A count; 0 where there is none, or something else."""
    return int(number) if number is not None and number.isdigit() and len(number) <= _LONGEST_COUNT else 0


def _texts(fields: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
