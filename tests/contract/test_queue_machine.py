"""Anything that producers, workers and operators may do to the queue, in any order, against a plain model."""

import asyncio
from functools import partial
from typing import cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from queue_machine import QueueMachine

from pointsman_queue import connect

_SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking would replay a failure for minutes; its steps are printed all the same
    suppress_health_check=list(HealthCheck),
)


def test_queue_is_its_model(redis_url: str) -> None:
    """After every step each job is in exactly one place, recorded, and within every limit; in the end all are final."""
    with asyncio.Runner() as runner:
        redis = runner.run(connect(redis_url))
        try:
            machine = cast("type[QueueMachine]", partial(QueueMachine, runner, redis))  # a factory will do
            run_state_machine_as_test(machine, settings=_SETTINGS)
        finally:
            runner.run(redis.aclose(close_connection_pool=True))
