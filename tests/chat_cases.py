"""For the vendors of chat completions: jobs of every kind, OpenAI's own types, and calls over loopback."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import ConfigDict, TypeAdapter
from scripted_server import Script, Server, serving

from pointsman_routes import Job, Tier
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import Ask, RawReply, Reply, WireRequest
from pointsman_worker.providers.protocol import ProviderCodec

PICTURE: Final = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: Final = {"type": "object", "properties": {"n": {"type": "integer", "default": None}}, "required": ["n"]}
WEATHER: Final = {
    "type": "function",
    "function": {"name": "weather", "description": "of a place", "parameters": SCHEMA},
}
TIME: Final = {"type": "function", "function": {"name": "time", "strict": True}}
CALLED: Final = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"n":1}'}}


def chat_job(*turns: dict[str, Any], **fields: Any) -> Job:
    """A job of turns in the spelling of the chat completions API."""
    messages = list(turns) or [{"role": "user", "content": "hello"}]
    return Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": messages, **fields})


def picture(url: str = PICTURE, **fields: Any) -> dict[str, Any]:
    """A turn of the user that shows an image."""
    image = {"type": "image_url", "image_url": {"url": url, **fields}}
    return {"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}


CONVERSATION: Final[tuple[dict[str, Any], ...]] = (
    {"role": "user", "content": "what is the weather?"},
    {"role": "assistant", "content": None, "tool_calls": [CALLED]},
    {"role": "tool", "content": "rain", "tool_call_id": "c1"},
)
NAMED: Final = {"type": "function", "function": {"name": "time"}}
JSON_SCHEMA: Final = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}

SPREAD: Final[Mapping[str, Job]] = {
    "plain": chat_job(),
    "system": chat_job({"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}),
    "developer": chat_job({"role": "developer", "content": "be brief"}, {"role": "user", "content": "hello"}),
    "several turns": chat_job(
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
        {"role": "user", "content": "bye"},
    ),
    "image": chat_job(picture()),
    "image by address": chat_job(picture("https://example.com/a.png", detail="low")),
    "sampling": chat_job(temperature=0.5, top_p=0.9, seed=7),
    "hot": chat_job(temperature=1.5),
    "stop": chat_job(stop=["END"]),
    "many stops": chat_job(stop=["1", "2", "3", "4", "5", "6"]),
    "json": chat_job(response_format={"type": "json_object"}),
    "text": chat_job(response_format={"type": "text"}),
    "schema": chat_job(response_format=JSON_SCHEMA),
    "tools": chat_job(tools=[WEATHER, TIME]),
    "tools auto": chat_job(tools=[WEATHER], tool_choice="auto"),
    "tools none": chat_job(tools=[WEATHER], tool_choice="none"),
    "tools required": chat_job(tools=[WEATHER], tool_choice="required"),
    "tools named": chat_job(tools=[WEATHER, TIME], tool_choice=NAMED),
    "tool answered": chat_job(*CONVERSATION, tools=[WEATHER]),
    "no effort": chat_job(reasoning_effort="none"),
    "low effort": chat_job(reasoning_effort="low"),
    "medium effort": chat_job(reasoning_effort="medium"),
    "most effort": chat_job(reasoning_effort="xhigh"),
}

_TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
_FORMATS = st.sampled_from([{"type": "text"}, {"type": "json_object"}, JSON_SCHEMA])
_TURNS = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, _TEXTS),
    st.builds(lambda text: {"role": "user", "content": [{"type": "text", "text": text}]}, _TEXTS),
    st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "developer"]), _TEXTS),
    st.builds(
        picture, st.sampled_from([PICTURE, "https://example.com/a.png"]), detail=st.sampled_from(["auto", "high"])
    ),
    st.builds(lambda text: {"role": "assistant", "content": text, "tool_calls": [CALLED]}, _TEXTS | st.none()),
    st.builds(lambda text: {"role": "tool", "content": text, "tool_call_id": "c1"}, _TEXTS),
)
_TOOLS = st.fixed_dictionaries(
    {"tools": st.just([WEATHER, TIME])},
    optional={"tool_choice": st.sampled_from(["auto", "none", "required", NAMED])},
)
_PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0.01, 1),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "stop": st.lists(_TEXTS, min_size=1, max_size=16),
        "response_format": _FORMATS,
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    },
)


@st.composite
def chat_jobs(draw: st.DrawFn) -> Job:
    """Any job at all."""
    turns = draw(st.lists(_TURNS, min_size=1, max_size=4))
    tools = draw(st.just({}) | _TOOLS)
    return chat_job(*turns, **draw(_PARAMETERS), **tools)


_REQUESTS: Final = TypeAdapter(list[CompletionCreateParamsNonStreaming], config=ConfigDict(extra="forbid", strict=True))


def as_openai_takes_it(body: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> None:
    """Check a body by the types of OpenAI's SDK, which know no other field than those they name.

    Args:
        body: as sent.
        beside: what else stands in it, since the vendor has it beyond OpenAI's API.
    """
    extra = beside or {}
    assert {name: body.get(name) for name in extra} == extra
    own = {name: value for name, value in body.items() if name not in extra}
    assert _whole(_REQUESTS.validate_python([own])) == [own]


def _whole(value: Any) -> Any:
    # An Iterable of the SDK's types is validated only while it is read.
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, str | int | float | None):
        return value
    return [_whole(inner) for inner in value]


def as_openai_reads_it(body: Mapping[str, Any]) -> ChatCompletion:
    """An answer as OpenAI's SDK reads it."""
    return ChatCompletion.model_validate(body, strict=True)


def left_out(job: Job, body: Mapping[str, Any]) -> list[str]:
    """The parameters of a job that don't stand in a body; the effort is left to the caller."""
    asked = json.loads(job.to_wire())
    missing = [
        name
        for name in ("temperature", "top_p", "seed", "stop", "response_format", "tools", "tool_choice")
        if name in asked and body.get(name) != asked[name]
    ]
    same = len(body["messages"]) == len(asked["messages"])
    for given, sent in zip(asked["messages"], body["messages"], strict=same):
        role = {given["role"], "system"} if given["role"] == "developer" else {given["role"]}
        if sent["role"] not in role or {**given, "role": 0, "content": given.get("content")} != {**sent, "role": 0}:
            missing.append(f"message of {given['role']}")
    return missing if same else [*missing, "messages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A request as a server saw it."""

    line: str
    headers: Mapping[str, str]
    body: Any


def answering(heard: list[Heard], status: int, body: object, headers: Mapping[str, str]) -> Callable[[Server], Script]:
    """A script that keeps each request and answers it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", *(f"{k}: {v}" for k, v in headers.items())]

    def script(_server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            sent = await reader.readexactly(int(fields["content-length"]))
            heard.append(Heard(line=head[0], headers=fields, body=json.loads(sent)))
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()

        return run

    return script


async def over_the_wire(
    make: Callable[[str], ProviderCodec],
    job: Job,
    tier: Tier,
    status: int,
    body: object,
    headers: Mapping[str, str] | None = None,
) -> tuple[Reply, Heard]:
    """One call to a server that gives this answer, with what it heard.

    Args:
        make: builds the codec for a server's root, such as `http://127.0.0.1:8000`.
        job: to be sent.
        tier: it is sent for.
        status: of the answer.
        body: of the answer, as JSON.
        headers: of the answer.
    """
    heard: list[Heard] = []
    async with serving(answering(heard, status, body, headers or {})) as server, build_client(2) as client:
        codec = make(f"http://127.0.0.1:{server.port}")
        wire = codec.build(Ask(job=job, tier=tier, max_tokens=64))
        assert isinstance(wire, WireRequest), wire
        raw = await call(client, wire, 10)
        assert isinstance(raw, RawReply), raw
        return codec.read(tier, raw), heard[0]
