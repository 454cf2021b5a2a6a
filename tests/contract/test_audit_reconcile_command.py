"""`pointsman audit reconcile`: what is printed, what is changed, and with which code it ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import typer
from queue_cases import MAIN
from reconciler_house import LOOSE, STRICT, House, id_of, open_house
from structlog.testing import capture_logs

from pointsman_console.main import app
from pointsman_queue import connect, keys

CONFIG = """
[providers.alpha]
kind = "openai-compatible"
owner = "team@example.com"
base_url = "http://localhost:8000/v1"
region = "eu"
tiers.main = { model = "a-large", price = { input = 1, output = 1 } }

[classes.strict]
route = ["alpha/main"]
acceptance = "ledger"
keep_content = "0"
"""
Run = Callable[..., int]


@pytest.fixture
def line(redis_url: str, tmp_path: Path) -> Callable[[Callable[[House], Awaitable[object]]], None]:
    """Lets the test do something with the line that the command will see."""

    def do(step: Callable[[House], Awaitable[object]]) -> None:
        async def steps() -> None:
            redis = await connect(redis_url)
            async with open_house(redis, f"sqlite:///{tmp_path / 'ledger.db'}") as house:
                await step(house)
            await redis.aclose(close_connection_pool=True)

        with capture_logs():
            asyncio.run(steps())

    return do


@pytest.fixture
def reconcile(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command; says with which code it ended. Every job counts as old enough."""
    monkeypatch.setattr("pointsman_audit.sweep.YOUNG", -timedelta(minutes=1))
    config = tmp_path / "pointsman.toml"
    config.write_text(CONFIG)

    def run(*arguments: str) -> int:
        place = ["--ledger", f"sqlite:///{tmp_path / 'ledger.db'}", "--redis", redis_url, "--config", str(config)]
        code = typer.main.get_command(app).main(
            args=[*place, "audit", "reconcile", *arguments], prog_name="pointsman", standalone_mode=False
        )
        return int(code or 0)

    return run


async def _lose_two(house: House) -> None:
    await house.submit("j-0", "j-1")
    await house.submit("l-0", task_class=LOOSE)
    await house.record()
    for name in ("j-0", "l-0"):
        await house.lose(id_of(name))


def test_dry_run_then_done(line: Callable[..., None], reconcile: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each line is what was found; a dry run changes nothing; what stays stranded makes the code 1."""
    line(_lose_two)
    assert reconcile("--dry-run", "--json") == 1
    told = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    where = {"batch_id": "batch", "dry_run": True}
    assert sorted(told, key=lambda entry: entry["act"]) == [
        {"act": "redriven", "job_id": id_of("j-0"), "task_class": STRICT, "reason": None, **where},
        {"act": "stranded", "job_id": id_of("l-0"), "task_class": LOOSE, "reason": "no_line", **where},
    ]

    async def unchanged(house: House) -> None:
        assert await house.redis.zcard(keys.QUEUE + MAIN) == 1
        assert await house.redis.xlen(keys.OUTBOX) == 0

    line(unchanged)
    assert reconcile() == 1
    shown = capsys.readouterr()
    assert "taken in once more" in shown.out
    assert "1 taken in once more; 1 stranded" in shown.err + shown.out

    async def taken_in(house: House) -> None:
        assert await house.redis.zcard(keys.QUEUE + MAIN) == 2
        assert not await house.redis.exists(keys.RECONCILER)

    line(taken_in)


def test_nothing_lost(line: Callable[..., None], reconcile: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is lost, nothing is on standard output, and the code is 0."""

    async def sound(house: House) -> None:
        await house.submit("j-0")
        await house.record()

    line(sound)
    assert reconcile() == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "nothing is lost" in shown.err
    assert reconcile("--json") == 0
    assert capsys.readouterr().out == ""
