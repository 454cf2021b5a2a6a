"""`routes test` and `routes explain` on the command line, with tiers that are well and tiers that are not."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acceptance_line import Done, Line, run
from acceptance_routes import KEYS, Route

pytestmark = pytest.mark.acceptance

GOOD = Route(name="good")
WRONG = Route(name="wrong", backup_too=False)
SLOW = Route(name="slow", backup_too=False, of_tiers={"timeout": "500ms"})
REJECTED = Route(name="rejected", backup_too=False)
SHORT = Route(name="short", backup_too=False)
OFF = Route(name="off")
_NOBODY = "redis://127.0.0.1:9/0"
_KEYLESS = """
[providers.keyless]
kind = "openai-compatible"
owner = "tests@example.com"
base_url = "http://127.0.0.1:9/v1"
api_key = { env = "NO_SUCH_KEY" }
region = "eu"
[providers.keyless.tiers.main]
model = "m"
price = { input = 1, output = 1 }
"""
_HEADERS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, redis_binary: Path) -> Iterator[Line]:
    """A line with a recorder, no worker, and a vendor that behaves differently for each tier."""
    folder = tmp_path_factory.mktemp("trials")
    with Line.laid(folder, [GOOD, WRONG, SLOW, REJECTED, SHORT, OFF], redis=redis_binary) as laid:
        config = folder / "pointsman.toml"
        config.write_text(config.read_text(encoding="utf-8") + _KEYLESS, encoding="utf-8")
        laid.vendor.behave(GOOD.primary_model, headers=_HEADERS)
        laid.vendor.behave(WRONG.primary_model, behaviour="wrong_model")
        laid.vendor.behave(SLOW.primary_model, behaviour="hang")
        laid.vendor.behave(REJECTED.primary_model, status=401)
        laid.vendor.behave(SHORT.primary_model, behaviour="truncate")
        laid.run("routes", "disable", OFF.primary, "--reason", "wrong answers", "--by", "the one on call")
        laid.recorder()
        yield laid


@pytest.fixture(scope="module")
def tested(line: Line) -> Done:
    """Every tier of the configuration, tried once."""
    return line.run("routes", "test", "--json", expect=1)


@pytest.fixture(scope="module")
def rows(tested: Done) -> dict[str, dict[str, Any]]:
    """What came of it, by tier."""
    return {row["tier"]: row for row in tested.objects}


def test_every_tier_is_a_row(tested: Done, rows: dict[str, dict[str, Any]]) -> None:
    """Each tier has its outcome, in the order of the configuration; one that has none is not the end of the others."""
    assert {tier: row["outcome"] for tier, row in rows.items()} == {
        GOOD.primary: "ok",
        GOOD.backup: "ok",
        WRONG.primary: "misrouted",
        SLOW.primary: "transient",
        REJECTED.primary: "unauthorized",
        SHORT.primary: "truncated",
        OFF.primary: "not called",
        OFF.backup: "ok",
        "keyless/main": "not called",
    }
    answered = {tier for tier, row in rows.items() if row["answered"]}
    assert answered == {GOOD.primary, GOOD.backup, SHORT.primary, OFF.backup}
    assert "4 of 9 tiers answered" in tested.err


def test_a_good_answer(rows: dict[str, dict[str, Any]]) -> None:
    """An answer shows model, tokens, exact cost, time, and what the vendor says is left of its limits."""
    row = rows[GOOD.primary]
    assert (row["model"], row["response_model"], row["model_matches"]) == (
        GOOD.primary_model, GOOD.primary_model, True,
    )  # fmt: skip
    assert (row["output_tokens"], row["usage_source"]) == (5, "vendor")
    assert row["cost_microusd"] == row["input_tokens"] * 1 + 5 * 2
    assert row["finish_reason"] == "stop"
    assert row["http_status"] == 200
    assert 0 < row["latency_s"] < 30
    assert row["limits"] == [{"name": "rpm", "limit": 500, "remaining": 499, "reset_s": 0.12}]


def test_what_is_wrong_is_told(rows: dict[str, dict[str, Any]]) -> None:
    """A wrong model, a timeout, a refused and a missing key each say what they are; unknown cost is not zero."""
    wrong, slow = rows[WRONG.primary], rows[SLOW.primary]
    assert (wrong["response_model"], wrong["model_matches"]) == ("someone-else", False)
    assert "someone-else" in wrong["detail"]
    assert "timeout" in slow["detail"]
    assert 0.5 <= slow["latency_s"] < 20
    assert (slow["cost_microusd"], slow["input_tokens"], slow["usage_source"]) == (None, None, "estimate")
    assert (rows[REJECTED.primary]["http_status"], rows[REJECTED.primary]["cost_microusd"]) == (401, 0)
    assert "NO_SUCH_KEY" in rows["keyless/main"]["detail"]
    assert "disabled by the one on call: wrong answers" in rows[OFF.primary]["detail"]


def test_recorded(line: Line, rows: dict[str, dict[str, Any]]) -> None:
    """The ledger has an attempt for every call that was made, with what came of it, and for no other."""
    attempts = {entry["job_id"]: entry for entry in line.audit("--kind", "attempt", "--class", "-")}
    called = {row["job_id"]: row for row in rows.values() if row["outcome"] != "not called"}
    assert called.keys() <= attempts.keys()
    for job_id, row in called.items():
        assert (attempts[job_id]["tier"], attempts[job_id]["outcome"]) == (row["tier"], row["outcome"])
        assert attempts[job_id]["worker"].startswith("routes test by ")
    assert line.audit("--kind", "final") == []


def test_no_secret(tested: Done, line: Line) -> None:
    """No key is in anything that was shown, as objects or as a table."""
    shown = line.run("routes", "test", REJECTED.primary, GOOD.primary, expect=1)
    for text in (tested.out, tested.err, shown.out, shown.err):
        assert not any(secret in text for secret in KEYS.values())


def test_table(line: Line) -> None:
    """For a person it is a table with a line for each tier, and under it what went wrong."""
    shown = line.run("routes", "test", "--class", WRONG.name, expect=1).out.splitlines()
    assert shown[0].split() == [
        "TIER", "OUTCOME", "TIME", "MODEL", "WHERE", "TOKENS", "MICRO-USD", "LEFT", "OF", "LIMITS",
    ]  # fmt: skip
    assert shown[1].startswith(WRONG.primary)
    assert f"someone-else, is not {WRONG.primary_model}" in shown[1]
    assert shown[-1].startswith(f"{WRONG.primary}: asked for")


def test_good_tiers_end_well(line: Line) -> None:
    """The exit code is 0 when every tier named answered, one cut off at the token limit included."""
    done = line.run("routes", "test", GOOD.primary, SHORT.primary, "--json", "--max-tokens", "16")
    assert [row["answered"] for row in done.objects] == [True, True]


def test_switched_off_and_called(line: Line) -> None:
    """A tier an operator has switched off is called when that is asked for in so many words."""
    before = len(line.vendor.calls(OFF.primary_model))
    line.run("routes", "test", OFF.primary, expect=1)
    assert len(line.vendor.calls(OFF.primary_model)) == before
    line.run("routes", "test", OFF.primary, "--even-disabled")
    assert len(line.vendor.calls(OFF.primary_model)) == before + 1


def test_redis_away(line: Line) -> None:
    """With a Redis that does not answer nothing is called, and the way out is named; with it calls are unrecorded."""
    before = len(line.vendor.calls())
    refused = line.run("routes", "test", GOOD.primary, expect=3, POINTSMAN_REDIS_URL=_NOBODY)
    assert (refused.out, len(refused.err.splitlines())) == ("", 1)
    assert "--without-redis" in refused.err
    assert len(line.vendor.calls()) == before
    command = ("routes", "test", GOOD.primary, "--without-redis", "--json")
    [row] = line.run(*command, POINTSMAN_REDIS_URL=_NOBODY).objects
    assert (row["outcome"], row["job_id"]) == ("ok", None)


def test_before_there_is_a_redis(line: Line, tmp_path: Path) -> None:
    """On the first day, with no Redis yet, the calls are made and it is said that none is recorded."""
    env = {name: text for name, text in line.environment.items() if name != "POINTSMAN_REDIS_URL"}
    env["POINTSMAN_HOME"] = str(tmp_path / "home")
    done = run("routes", "test", GOOD.primary, "--json", env=env, cwd=line.folder)
    assert [row["job_id"] for row in done.objects] == [None]
    assert "not recorded" in done.err
    (tmp_path / "home" / "redis").mkdir(parents=True)
    refused = run("routes", "test", GOOD.primary, env=env, cwd=line.folder, expect=3)
    assert "--without-redis" in refused.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("alpha/plane",), "alpha/plane"),
        (("--class", "poetry"), "poetry"),
        (("alpha/good", "--class", "good"), "--class"),
        (("alpha/good", "--prompt", ""), "--prompt"),
    ],
)
def test_wrong_use(line: Line, arguments: tuple[str, ...], says: str) -> None:
    """An unknown tier or class, both at once, and an empty prompt are refused before any call."""
    before = len(line.vendor.calls())
    done = line.run("routes", "test", *arguments, expect=2)
    assert says in done.err
    assert (done.out, len(line.vendor.calls())) == ("", before)


def test_explain(line: Line) -> None:
    """`explain` shows the chain with what follows a failure as the tiers are now, and as if all were open."""
    *tiers, of_class = line.run("routes", "explain", OFF.name, "--json").objects
    assert [(row["tier"], row["open"]) for row in tiers] == [(OFF.primary, "no"), (OFF.backup, "yes")]
    assert tiers[0]["state"] == "disabled by the one on call: wrong answers"
    assert tiers[1]["if_it_fails"]["exhausted"]["then"]["step"] == "hold"
    assert (of_class["class"], of_class["as_if_all_open"]) == (OFF.name, False)
    _, second, of_class = line.run("routes", "explain", OFF.name, "--all-open", "--json").objects
    assert second["if_it_fails"]["exhausted"]["then"] == {
        "step": "move", "to": OFF.primary, "reason": "exhausted",
    }  # fmt: skip
    assert of_class["as_if_all_open"] is True


def test_explain_without_redis(line: Line) -> None:
    """Without Redis the chain is shown all the same, and a note says that health is unknown."""
    done = line.run("routes", "explain", GOOD.name, POINTSMAN_REDIS_URL=_NOBODY)
    assert "health is unknown" in done.err
    assert all(tier in done.out for tier in GOOD.tiers)
    assert "as if every tier were open" in done.out


def test_interrupted(line: Line) -> None:
    """A call that is interrupted is in the ledger as unknown, for it may be billed; the exit code says why it ended."""
    before = len(line.vendor.calls(SLOW.primary_model))
    config = line.folder / "patient.toml"
    patient = (line.folder / "pointsman.toml").read_text(encoding="utf-8").replace("500ms", "60s")
    config.write_text(patient, encoding="utf-8")
    running = line.start("routes", "test", SLOW.primary, POINTSMAN_CONFIG=str(config))
    line.wait_calls(before + 1, SLOW.primary_model)
    running.signal(signal.SIGINT)
    assert running.ended() == 130
    assert [entry["outcome"] for entry in line.audit("--kind", "attempt", "--tier", SLOW.primary)][-1] == "unknown"
