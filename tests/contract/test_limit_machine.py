"""Anything that workers may do at a limited tier, in any order, against vendors that keep their own list of calls."""

import asyncio
from functools import partial
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from limit_machine import LimitMachine

from pointsman_queue import connect

_SETTINGS = settings(
    max_examples=50,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking would replay a failure for minutes; its steps are printed all the same
    suppress_health_check=list(HealthCheck),
)


def test_limits_hold(redis_url: str) -> None:
    """No limit that is known is passed, nothing stays reserved, and every job is answered in the end."""
    with asyncio.Runner() as runner:
        redis = runner.run(connect(redis_url))
        try:
            machine = cast("type[LimitMachine]", partial(LimitMachine, runner, redis))  # a factory will do
            run_state_machine_as_test(machine, settings=_SETTINGS)
        finally:
            runner.run(redis.aclose(close_connection_pool=True))
