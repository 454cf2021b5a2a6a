"""Wrong words and absent services: one line says what and what to do, the exit code is documented, no traceback."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from acceptance_line import Done, Line, run
from acceptance_routes import PRIMARY_KEY, Route

pytestmark = pytest.mark.acceptance

_ROUTE = Route(name="plain")
_SECRET = "pass-word-of-the-ledger"
_BAD_LINES: tuple[tuple[bytes, str], ...] = (
    (b'{"custom_id": "b1", "class": "plain", "messages": [{"role": "user", "content": "x"}], "n_best": 2}', "n_best"),
    (b'{"custom_id": "b2", "messages": [{"role": "user", "content": "x"}]}', '"class" is missing'),
    (b'{"custom_id": "b3", "class": "poetry", "messages": [{"role": "user", "content": "x"}]}', "poetry"),
    (b'{"custom_id": "b4", "class": "plain", "messages": []}', '"messages" is empty'),
    (b'{"custom_id": "b5", "class": "plain", "messages": [', "not valid JSON"),
    (b'{"custom_id": "b6", "class": "plain", "messages": "' + b"x" * 50_000_000 + b'"}', "longer than"),
    (b'{"custom_id": "good-0000", "class": "plain", "messages": [{"role": "user", "content": "x"}]}', "earlier line"),
    (b'{"custom_id": "b8", "class": "plain", "messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8"),
)
"""Lines no job file may have, and what must be said about each."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command that must be refused."""

    arguments: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    """What standard error must have."""
    env: Mapping[str, str] = field(default_factory=dict)
    lines: int | None = 1
    """Of standard error; None where there may be any number."""


_NOBODY = "redis://:pass-word-of-the-ledger@127.0.0.1:9/0"
_NO_LEDGER = f"postgresql://auditor:{_SECRET}@127.0.0.1:9/ledger"
_CASES = {
    "config missing": Case(arguments=("--config", "nowhere.toml", "routes", "check"), code=2, says=("nowhere.toml",)),
    "config broken": Case(arguments=("--config", "broken.toml", "routes", "check"), code=2, says=("not valid TOML",)),
    "config wrong": Case(
        arguments=("--config", "wrong.toml", "routes", "check"),
        code=2,
        says=(
            "providers.alpha.owner",
            "providers.alpha.tiers.plain.qualty",
            "providers.alpha.tiers.plain.timeout",
            "classes.plain.route[1]",
            "classes.plain.quality_floor",
            "nonsense: unknown key",
        ),
        lines=None,
    ),
    "price unknown": Case(arguments=("--config", "unpriced.toml", "routes", "check"), code=2, says=("price",)),
    "price unknown to a worker": Case(
        arguments=("--config", "unpriced.toml", "worker", "alpha/unpriced"), code=2, says=("price",)
    ),
    "key missing": Case(arguments=("worker", "alpha/plain"), code=2, says=(PRIMARY_KEY,), env={PRIMARY_KEY: ""}),
    "key missing to up": Case(arguments=("up",), code=2, says=(PRIMARY_KEY,), env={PRIMARY_KEY: ""}),
    "tier unknown": Case(arguments=("worker", "alpha/plane"), code=2, says=("alpha/plane", "alpha/plain")),
    "tier to disable unknown": Case(
        arguments=("routes", "disable", "alpha/plane", "--reason", "x"), code=2, says=("alpha/plane", "beta/plain")
    ),
    "class unknown": Case(arguments=("routes", "explain", "poetry"), code=2, says=("poetry", "plain")),
    "class of a file unknown": Case(
        arguments=("submit", "good.jsonl", "--class", "poetry"), code=2, says=("poetry", "plain")
    ),
    "file missing": Case(arguments=("submit", "nowhere.jsonl"), code=2, says=("nowhere.jsonl",)),
    "file empty": Case(arguments=("submit", "empty.jsonl"), code=2, says=("empty.jsonl",)),
    "batch id unusable": Case(arguments=("submit", "good.jsonl", "--batch", "a b"), code=2, says=("a b",)),
    "timeout unreadable": Case(arguments=("submit", "good.jsonl", "--timeout", "soon"), code=2, says=("--timeout",)),
    "output unwritable": Case(
        arguments=("submit", "good.jsonl", "--output", "nowhere/out.jsonl"), code=2, says=("nowhere/out.jsonl",)
    ),
    "option unknown": Case(arguments=("status", "--jsn"), code=2, says=("--jsn",)),
    "batch unknown": Case(arguments=("status", "no-such-batch"), code=2, says=("no-such-batch",)),
    "job unknown": Case(arguments=("jobs", "show", "no-such-job"), code=2, says=("no-such-job",)),
    "moment unreadable": Case(arguments=("audit", "list", "--since", "yesterday"), code=2, says=("yesterday",)),
    "limit of nothing": Case(arguments=("audit", "list", "--limit", "0"), code=2, says=("limit",)),
    "redis away": Case(arguments=("--redis", _NOBODY, "submit", "good.jsonl"), code=3, says=("127.0.0.1:9",)),
    "redis away for a worker": Case(
        arguments=("--redis", _NOBODY, "worker", "alpha/plain"), code=3, says=("127.0.0.1:9",)
    ),
    "redis url wrong": Case(arguments=("--redis", f"http://:{_SECRET}@host", "status"), code=3, says=("Redis URL",)),
    "redis not started": Case(
        arguments=("--home", "nobody-home", "status"), code=3, says=("pointsman up",), env={"POINTSMAN_REDIS_URL": ""}
    ),
    "ledger not there": Case(
        arguments=("--ledger", "sqlite:///nowhere/ledger.db", "audit", "list"), code=3, says=("nowhere/ledger.db",)
    ),
    "ledger no database": Case(
        arguments=("--ledger", "sqlite:///good.jsonl", "audit", "list"), code=3, says=("good.jsonl",)
    ),
    "ledger away": Case(arguments=("--ledger", _NO_LEDGER, "audit", "list"), code=3, says=("127.0.0.1:9",)),
    "ledger away for a recorder": Case(arguments=("--ledger", _NO_LEDGER, "recorder"), code=3, says=("127.0.0.1:9",)),
    "ledger url wrong": Case(
        arguments=("--ledger", f"mysql://auditor:{_SECRET}@host/ledger", "audit", "list"),
        code=2,
        says=("postgresql://",),
    ),
}
_WRONG = """
nonsense = 1
[providers.alpha]
kind = "openai-compatible"
base_url = "http://localhost/v1"
[providers.alpha.tiers.plain]
model = "m"
qualty = 0.9
timeout = "soon"
[classes.plain]
route = ["alpha/plain", "alpha/plane"]
quality_floor = 7
"""


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, redis_binary: Path) -> Iterator[Line]:
    """A line without workers, so that what is submitted stays where it is."""
    folder = tmp_path_factory.mktemp("mistakes")
    with Line.laid(folder, [_ROUTE], redis=redis_binary) as laid:
        (folder / "wrong.toml").write_text(_WRONG, encoding="utf-8")
        (folder / "broken.toml").write_text("[providers", encoding="utf-8")
        sound = (folder / "pointsman.toml").read_text(encoding="utf-8")
        unpriced = sound.replace("price = { input = 1.0, output = 2.0 }\n", "", 1).replace("plain", "unpriced")
        (folder / "unpriced.toml").write_text(unpriced, encoding="utf-8")
        (folder / "empty.jsonl").write_text("\n", encoding="utf-8")
        laid.job_file(_ROUTE.jobs(2, named="good"), "good.jsonl")
        yield laid


@pytest.fixture(scope="module")
def complaints(line: Line) -> dict[str, Done]:
    """Every command, run to its end; a few at a time, for they take a second each."""

    def refused(case: Case) -> Done:
        env = {name: text for name, text in {**line.environment, **case.env}.items() if text}
        return run(*case.arguments, env=env, cwd=line.folder, expect=None)

    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(_CASES, pool.map(refused, _CASES.values()), strict=True))


@pytest.mark.parametrize("name", [name for name in _CASES if name != "output unwritable"])
def test_refused(complaints: dict[str, Done], name: str) -> None:
    """The exit code is the documented one, standard error names what is wrong, nothing else is said, no secret."""
    case, done = _CASES[name], complaints[name]
    assert done.code == case.code, done.err
    assert done.out == ""
    for words in case.says:
        assert words in done.err
    assert all(text.startswith("pointsman: ") for text in done.err.splitlines())
    assert case.lines in (None, len(done.err.splitlines())), done.err
    assert _SECRET not in done.err


def test_output_unwritable(complaints: dict[str, Done], line: Line) -> None:
    """Results that cannot be written are noticed before anything is submitted."""
    done = complaints["output unwritable"]
    assert (done.code, done.out) == (2, "")
    assert "nowhere/out.jsonl" in done.err
    assert line.queued(_ROUTE.primary) == 0


def test_bad_lines(line: Line) -> None:
    """Every bad line of a job file is named with its number, and nothing of the file is submitted."""
    file = _file_with_bad_lines(line)
    done = line.run("submit", file.name, expect=2)
    assert done.out == ""
    said = done.err.splitlines()
    for number, (_, words) in enumerate(_BAD_LINES, start=2):
        [told] = [text for text in said if f"line {number}: " in text]
        assert words in told
        assert len(told) < 400
    assert len(said) == len(_BAD_LINES) + 1
    assert "nothing of" in said[-1]
    assert line.queued(_ROUTE.primary) == 0


def test_bad_lines_skipped(line: Line) -> None:
    """With --skip-invalid the good lines are submitted, and those left out are named."""
    file = _file_with_bad_lines(line)
    done = line.run("submit", file.name, "--skip-invalid", "--batch", "skipped")
    assert all(f"line {number}: " in done.err for number in range(2, 2 + len(_BAD_LINES)))
    assert f"skipped {len(_BAD_LINES)} bad lines" in done.err
    assert line.queued(_ROUTE.primary) == 2
    assert line.vendor.calls() == []


def _file_with_bad_lines(line: Line) -> Path:
    """A good line, the bad ones, and another good one."""
    first, last = (json.dumps(job).encode() for job in _ROUTE.jobs(2, named="good"))
    path = line.folder / "bad.jsonl"
    path.write_bytes(b"\n".join([first, *(text for text, _ in _BAD_LINES), last]) + b"\n")
    return path
