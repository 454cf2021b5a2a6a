"""What Redis holds of a job's prompt and answer, and its removal."""

from enum import StrEnum
from typing import Any, Final, cast

from arq import ArqRedis
from redis.asyncio.client import Pipeline

from pointsman_routes import JobState

from . import keys
from .connection import redis_errors

ERASED: Final = "erased"
"""In place of a digest. Without any, the same job handed in again would be taken for a new one and asked anew."""
_FINAL = frozenset(state.value.encode() for state in JobState if state.final)


class Wiped(StrEnum):
    """What became of the traces of a job."""

    WIPED = "wiped"
    """There were some, and they are gone."""
    NONE = "none"
    """There were none."""
    UNDER_WAY = "under_way"
    """The job has not ended; nothing was done."""


class JobTraces:
    """Removes what jobs asked and were answered."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def wipe(self, job_id: str) -> Wiped:
        """Remove a job's envelope and result, and the digest of what it asks, which has no salt; in one step.

        Where the job stood and what it cost stay until they expire. Handing the same job in again meanwhile is a
        conflict.

        Weakness: what Redis has written to its disk, or sent to a replica, stays there until it writes it anew.

        Raises:
            ServiceUnavailable: Redis does not answer, or has no room for a transaction.
        """
        key = keys.JOB + job_id

        async def step(pipe: Pipeline) -> Wiped:
            # redis-py types one method for its blocking and its asynchronous client.
            state, digest = await cast("Any", pipe.hmget(key, ["state", "digest"]))
            texts = [keys.ENVELOPE + job_id, keys.RESULT + job_id]
            there = await pipe.exists(*texts)
            under_way = state is not None and state not in _FINAL
            pipe.multi()  # type: ignore[no-untyped-call]
            if under_way:
                return Wiped.UNDER_WAY
            pipe.delete(*texts)
            told = digest is not None and digest != ERASED.encode()
            if told:
                pipe.hset(key, "digest", ERASED)
            return Wiped.WIPED if there or told else Wiped.NONE

        with redis_errors():
            watched = (key, keys.ENVELOPE + job_id, keys.RESULT + job_id)
            return Wiped(await self._redis.transaction(step, *watched, value_from_callable=True))
