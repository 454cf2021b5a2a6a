"""Anything that producers, workers, operators and vendors may do to the queue, in any order, against plain models."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from arq import ArqRedis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from limit_machine import LimitMachine
from queue_machine import QueueMachine

from pointsman_queue import connect

_Machine = Callable[[asyncio.Runner, ArqRedis], RuleBasedStateMachine]
_SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking would replay a failure for minutes; its steps are printed all the same
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize(
    ("kind", "examples", "steps"), [(QueueMachine, 150, 50), (LimitMachine, 50, 30)], ids=["queue", "limits"]
)
def test_machine(redis_url: str, kind: _Machine, examples: int, steps: int) -> None:
    """The machine's invariants hold after every step; in the end every job is final and nothing is left over."""
    with asyncio.Runner() as runner:
        redis = runner.run(connect(redis_url))
        try:
            machine = cast("type[RuleBasedStateMachine]", partial(kind, runner, redis))  # a factory will do
            run_state_machine_as_test(
                machine, settings=settings(_SETTINGS, max_examples=examples, stateful_step_count=steps)
            )
        finally:
            runner.run(redis.aclose(close_connection_pool=True))
