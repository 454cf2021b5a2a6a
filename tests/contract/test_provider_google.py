"""Google's codec over real sockets, and beside it Google's own SDK: for one job both send the same."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.genai import Client, types
from google.oauth2.credentials import Credentials
from google_samples import CLOCK, MODEL, PIXEL, SEARCH, TIER, error, quota_failure, retry_info, said, turns
from provider_samples import KEY, NOW, ask, job
from pydantic.alias_generators import to_camel
from scripted_server import Script, Server, serving

from pointsman_routes import Job, Ok, Overloaded, Throttled, Usage
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import RawReply, Reply, WireRequest
from pointsman_worker.providers.google import GoogleCodec


def answering(status: int, body: object, seen: list[Any]) -> Callable[[Server], Script]:
    """Answer every request alike, and keep the bodies that were sent."""
    content = json.dumps(body).encode()

    def script(server: Server) -> Script:
        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            server.requests.append(head)
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            seen.append(json.loads(await reader.readexactly(int(length.split(b":")[1]))))
            told = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            writer.write(told % (status, len(content)) + content)
            await writer.drain()

        return run

    return script


def codec(server: Server, *, at_vertex: bool) -> GoogleCodec:
    """The codec of an account at this server."""
    place = {"project": "acme-1", "location": "europe-west4"} if at_vertex else {}
    return GoogleCodec(f"http://127.0.0.1:{server.port}", KEY, now=lambda: NOW, **place)


async def dispatch(server: Server, asked: Job, *, at_vertex: bool = False, model: str = MODEL) -> Reply:
    """One attempt, from job to outcome, as a worker makes it."""
    speaks = codec(server, at_vertex=at_vertex)
    wire = speaks.build(ask(asked, model))
    assert isinstance(wire, WireRequest)
    async with build_client(2) as client:
        raw = await call(client, wire, 5)
    assert isinstance(raw, RawReply)
    return speaks.read(TIER, raw)


async def test_a_job_is_answered_by_the_gemini_api() -> None:
    """Path, key and body arrive as built; the answer is read with its usage."""
    seen: list[Any] = []
    async with serving(answering(200, said({"text": "hi"}), seen)) as server:
        reply = await dispatch(server, job(("system", "be brief"), ("user", "hello")))
    assert isinstance(reply.outcome, Ok)
    assert reply.outcome.answer.content == "hi"
    assert reply.evidence.usage == Usage(input_tokens=12, output_tokens=5)
    head = server.requests[0]
    assert head.startswith(b"POST /v1beta/models/gemini-2.5-flash:generateContent HTTP/1.1\r\n")
    assert b"\r\nx-goog-api-key: " + KEY.reveal().encode() + b"\r\n" in head
    assert b"authorization" not in head.lower()
    assert seen[0]["contents"] == [{"role": "user", "parts": [{"text": "hello"}]}]


async def test_a_job_is_answered_by_vertex() -> None:
    """Project and location stand in the path, the token is a bearer's."""
    async with serving(answering(200, said({"text": "hi"}), [])) as server:
        reply = await dispatch(server, job(), at_vertex=True)
    assert isinstance(reply.outcome, Ok)
    head = server.requests[0]
    place = b"/v1/projects/acme-1/locations/europe-west4/publishers/google/models/"
    assert head.startswith(b"POST " + place + b"gemini-2.5-flash:generateContent HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer " + KEY.reveal().encode() + b"\r\n" in head
    assert b"x-goog-api-key" not in head.lower()


async def test_a_throttle_and_an_overload_are_told_apart_over_the_wire() -> None:
    """A 429 of a quota per minute carries its wait; a 503 is the model's own trouble."""
    quota = quota_failure("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProject", "15")
    body = error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", quota, retry_info("27s"))
    async with serving(answering(429, [body], [])) as server:
        throttled = (await dispatch(server, job())).outcome
    assert isinstance(throttled, Throttled)
    assert (throttled.retry_after_s, throttled.limit) == (27.0, "requests")
    async with serving(answering(503, error(503, "UNAVAILABLE", "The model is overloaded."), [])) as server:
        assert isinstance((await dispatch(server, job())).outcome, Overloaded)


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ALL = turns(
    {"role": "system", "content": "be brief"},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "which?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}},
        ],
    },
    {
        "role": "assistant",
        "content": "let me see",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "cat"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    temperature=0.5,
    top_p=0.9,
    stop=["END"],
    seed=7,
    response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}},
    tools=[SEARCH, CLOCK],
    tool_choice={"type": "function", "function": {"name": "search"}},
    reasoning_effort="high",
)


def all_of_it(*, with_ids: bool) -> tuple[list[types.Content], types.GenerateContentConfig]:
    """The same job in the SDK's own words."""
    call_id = "c1" if with_ids else None
    contents = [
        types.Content(
            role="user",
            parts=[
                types.Part(text="which?"),
                types.Part(inline_data=types.Blob.model_validate({"mimeType": "image/png", "data": PIXEL})),
                types.Part(file_data=types.FileData(file_uri="https://example.com/cat.png", mime_type="image/png")),
            ],
        ),
        types.Content(
            role="model",
            parts=[
                types.Part(text="let me see"),
                types.Part(function_call=types.FunctionCall(id=call_id, name="search", args={"q": "cat"})),
            ],
        ),
        types.Content(
            role="user",
            parts=[
                types.Part(
                    function_response=types.FunctionResponse(id=call_id, name="search", response={"output": "a cat"})
                )
            ],
        ),
    ]
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    config = types.GenerateContentConfig(
        system_instruction=types.Content(parts=[types.Part(text="be brief")]),
        max_output_tokens=64,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END"],
        seed=7,
        response_mime_type="application/json",
        response_json_schema=SCHEMA,
        thinking_config=types.ThinkingConfig(thinking_budget=24576),
        tools=[
            types.Tool(
                function_declarations=[
                    types.FunctionDeclaration(
                        name="search", description="looks it up", parameters_json_schema=parameters
                    ),
                    types.FunctionDeclaration(name="clock"),
                ]
            )
        ],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["search"]
            )
        ),
    )
    return contents, config


@pytest.mark.parametrize("at_vertex", [False, True])
async def test_googles_own_sdk_sends_the_same(at_vertex: bool) -> None:
    """The same path, the same key and the same body, but for the SDK's own habits."""
    seen: list[Any] = []
    async with serving(answering(200, said({"text": '{"n": 1}'}), seen)) as server:
        assert isinstance((await dispatch(server, ALL, at_vertex=at_vertex)).outcome, Ok)
        options = types.HttpOptions(
            base_url=f"http://127.0.0.1:{server.port}", api_version="v1" if at_vertex else "v1beta"
        )
        if at_vertex:
            token = Credentials(token=KEY.reveal())  # type: ignore[no-untyped-call]  # google-auth has no types here
            client = Client(
                vertexai=True, project="acme-1", location="europe-west4", credentials=token, http_options=options
            )
        else:
            client = Client(api_key=KEY.reveal(), http_options=options)
        contents, config = all_of_it(with_ids=not at_vertex)
        answer = await asyncio.to_thread(
            client.models.generate_content, model=MODEL, contents=list(contents), config=config
        )
        client.close()
    assert answer.text == '{"n": 1}'
    ours, theirs = seen
    assert ours == plain(theirs)
    heads = [head.lower() for head in server.requests]
    assert heads[0].split(b"\r\n")[0] == heads[1].split(b"\r\n")[0]
    name = b"authorization: bearer " if at_vertex else b"x-goog-api-key: "
    for head in heads:
        assert b"\r\n" + name + KEY.reveal().lower().encode() + b"\r\n" in head


def plain(value: Any) -> Any:
    """What the SDK sends, with all keys spelled as the API reference has them: Google takes either spelling."""
    if isinstance(value, dict):
        return {to_camel(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list) else value
