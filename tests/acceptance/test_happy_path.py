"""A file of real prompts goes in; an answer and a record of the model used come out, for each."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import servers
from acceptance_line import Line, attempts_recorded, calls_made
from acceptance_routes import Route
from project_tree import ROOT

pytestmark = pytest.mark.acceptance

_ROUTES = tuple(Route(name=name) for name in ("reasoning", "synthesis", "triage"))
_KINDS = tuple(servers.redis_binaries()) or ("none",)


def _jobs() -> list[dict[str, Any]]:
    """Every prompt, half of them as OpenAI Batch lines, each with a mark by which the vendor tells it from others."""
    prompts = ROOT.parent / "shared" / "data" / "prompts.jsonl"
    source = prompts if prompts.exists() else ROOT / "examples" / "jobs.jsonl"
    lines = [json.loads(line) for line in _lines(source)]
    return [_in_form(_marked(line), number) for number, line in enumerate(lines)]


def _lines(path: Path) -> list[str]:
    """The lines of a file, and not what `splitlines` takes for one: a prompt may hold U+2028."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def _marked(line: dict[str, Any]) -> dict[str, Any]:
    last = line.get("body", line)["messages"][-1]
    last["content"] = f"[[{line['custom_id']}]]\n{last['content']}"
    return line


def _in_form(line: dict[str, Any], number: int) -> dict[str, Any]:
    if "body" in line or number % 2:
        return line
    body = {"model": line["class"], "messages": line["messages"], "max_tokens": line.get("max_tokens", 64)}
    return {"custom_id": line["custom_id"], "method": "POST", "url": "/v1/chat/completions", "body": body}


def _assert_batch_output(result: dict[str, Any]) -> None:
    """The result is an OpenAI Batch output line with one key more."""
    assert set(result) == {"id", "custom_id", "response", "error", "pointsman"}
    assert result["error"] is None
    assert set(result["response"]) == {"status_code", "request_id", "body"}
    assert result["response"]["status_code"] == 200
    body = result["response"]["body"]
    assert body["object"] == "chat.completion"
    assert body["model"] == result["pointsman"]["served"]["model"]
    assert isinstance(body["id"], str)
    assert isinstance(body["created"], int)
    [choice] = body["choices"]
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "stop", "assistant")
    assert choice["message"]["content"] == f"answer to {result['custom_id']}"
    usage = body["usage"]
    assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


@pytest.fixture(params=_KINDS)
def ledger(request: pytest.FixtureRequest) -> tuple[Path, str | None]:
    """A Redis server's binary, and a ledger to go with it: PostgreSQL with the newer, where there is one."""
    binary = servers.redis_binaries().get(request.param)
    if binary is None:
        servers.missing("redis-server")
    if request.param != "redis-server" or servers.postgres_folder() is None:
        return binary, None
    url: str = request.getfixturevalue("postgres_url")
    return binary, url


def test_every_prompt_is_answered_and_recorded(tmp_path: Path, ledger: tuple[Path, str | None]) -> None:
    """One result and one final record a job, one attempt record a call of the vendor's own list, and nothing left.

    Submitting the file again gives the same results and asks nothing twice.
    """
    binary, ledger_url = ledger
    jobs = _jobs()
    names = Counter(job["custom_id"] for job in jobs)
    with Line.laid(tmp_path, _ROUTES, redis=binary, ledger_url=ledger_url) as line:
        tiers = [route.primary for route in _ROUTES]
        for running in (line.start("recorder"), line.start("worker", *tiers), line.start("worker", *tiers)):
            line.at_work(running)
        file = str(line.job_file(jobs, "prompts.jsonl"))
        first = line.run("submit", file, "--wait", "--output", "first.jsonl")
        assert first.out == ""
        results = [json.loads(text) for text in _lines(tmp_path / "first.jsonl")]
        assert Counter(result["custom_id"] for result in results) == names
        for result in results:
            _assert_batch_output(result)
        finals, attempts = line.audit(), line.audit("--kind", "attempt")
        assert Counter(record["custom_id"] for record in finals) == names
        assert (
            attempts_recorded(attempts, finals)
            == calls_made(line)
            == Counter((job["custom_id"], f"{job.get('class') or job['body']['model']}-of-alpha") for job in jobs)
        )
        assert {(entry["outcome"], entry["usage_source"]) for entry in attempts} == {("ok", "vendor")}
        assert {record["job_id"] for record in finals} == {result["id"] for result in results}
        assert {record["served_model"] for record in finals} == {route.primary_model for route in _ROUTES}

        line.run("submit", file, "--wait", "--output", "second.jsonl")
        again = _lines(tmp_path / "second.jsonl")
        assert Counter(again) == Counter(_lines(tmp_path / "first.jsonl"))
        assert len(line.vendor.calls()) == len(jobs)
        assert line.outbox_length() == 0
