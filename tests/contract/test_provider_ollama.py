"""Ollama's codec over real sockets."""

import pytest
from chat_cases import over_the_wire
from provider_samples import KEY, job, tier

from pointsman_routes import Answer, Exhausted, Ok, Outcome, Overloaded, Transient, Usage
from pointsman_worker.providers.ollama import OllamaCodec

TIER = tier("qwen3:8b", context_window=8192)
ANSWER = {
    "model": "qwen3:8b",
    "created_at": "2026-10-31T17:59:58.196249Z",
    "message": {"role": "assistant", "content": "hi"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 26,
    "eval_count": 2,
}


def codec(root: str) -> OllamaCodec:
    """A codec for a server at that address."""
    return OllamaCodec(root, KEY)


async def test_an_answer_over_the_wire() -> None:
    """One POST to /api/chat with the key and the whole job; its answer is read."""
    reply, heard = await over_the_wire(codec, job(("user", "hello"), seed=7), TIER, 200, ANSWER)
    assert reply.outcome == Ok(answer=Answer(content="hi", finish_reason="stop"))
    assert reply.evidence.usage == Usage(input_tokens=26, output_tokens=2)
    assert heard.line == "POST /api/chat HTTP/1.1"
    assert heard.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert heard.body == {
        "model": "qwen3:8b",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "truncate": False,
        "shift": False,
        "options": {"num_ctx": 8192, "num_predict": 64, "seed": 7},
    }


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "you have reached your session usage limit", Exhausted),
        (500, "llama runner process has terminated", Transient),
        (503, "server busy, please try again.  maximum pending requests exceeded", Overloaded),
    ],
)
async def test_errors_over_the_wire(status: int, message: str, kind: type[Outcome]) -> None:
    """What the server refuses is an outcome, not an exception."""
    reply, _ = await over_the_wire(codec, job(), TIER, status, {"error": message}, {"retry-after": "7"})
    assert isinstance(reply.outcome, kind)
    assert reply.evidence.http_status == status
