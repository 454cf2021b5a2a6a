"""What is sent for a job: of the shape Anthropic's own SDK declares, and nothing of the job is lost."""

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import anthropic, ask, job, sent, tier
from typed_dict_shape import faults

from pointsman_routes import Job, TextPart, Unsupported
from pointsman_worker.providers import Ask

MODEL = "claude-haiku-4-5"
IMAGE = "data:image/png;base64,aGVsbG8="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SEARCH = {"type": "function", "function": {"name": "search", "description": "Finds", "parameters": SCHEMA}}
NOW = {"type": "function", "function": {"name": "now"}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA, "strict": True}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": '{"city": "Bern"}'}}
CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "where?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "there"},
    {"role": "tool", "tool_call_id": "call_2", "content": ""},
]
NOT_OF_THE_LATEST_VERSION = ("temperature", "top_p")
"""The SDK speaks API version 2026-10-21, which has neither; we speak 2023-06-01, which has both."""


def of(messages: list[dict[str, Any]], **fields: Any) -> Job:
    """A job of messages as a producer writes them."""
    return Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": messages, **fields})


def said(*parts: dict[str, Any]) -> Job:
    """A job of one message in pieces."""
    return of([{"role": "user", "content": list(parts)}])


def image(url: str = IMAGE, **fields: Any) -> dict[str, Any]:
    """An image."""
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def built(asked: Job, region: str | None = None, service_tier: str | None = None) -> Any:
    """The body for a job, which the SDK would take too."""
    request = anthropic(region).build(
        Ask(job=asked, tier=tier(MODEL, service_tier=service_tier), max_tokens=asked.max_tokens or 64)
    )
    body = sent(request)
    declared = {name: value for name, value in body.items() if name not in NOT_OF_THE_LATEST_VERSION}
    assert faults(declared, MessageCreateParamsNonStreaming) == []
    return body


def refusal(asked: Job, **fields: Any) -> str:
    """Why a job is unsupported."""
    problem = anthropic().build(Ask(job=asked, tier=tier(MODEL, **fields), max_tokens=64))
    assert isinstance(problem, Unsupported), problem
    return problem.detail


def test_an_image_is_named_or_carried() -> None:
    """A URL is for the vendor to fetch, and base64 goes along with its media type; texts stand where they stood."""
    body = built(said({"type": "text", "text": "see"}, image("https://a.example/b.jpg"), image(detail="auto")))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.jpg"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}},
    ]


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "image/gif", "image/webp"])
def test_each_media_type_the_vendor_takes_is_sent(media_type: str) -> None:
    """The four of the reference, and of the SDK."""
    assert built(said(image(f"data:{media_type};base64,aGVsbG8=")))


def test_tools_are_offered_in_the_vendors_terms() -> None:
    """Parameters become the input schema; none are an object of which nothing is said, since a schema is required."""
    strict = {"type": "function", "function": {"name": "go", "parameters": {"type": "object"}, "strict": True}}
    assert built(job(tools=[SEARCH, NOW, strict]))["tools"] == [
        {"name": "search", "description": "Finds", "input_schema": SCHEMA},
        {"name": "now", "input_schema": {"type": "object"}},
        {"name": "go", "input_schema": {"type": "object"}, "strict": True},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "now"}}, {"type": "tool", "name": "now"}),
    ],
)
def test_the_choice_of_tools_is_translated(choice: object, expected: object) -> None:
    """`required` is `any` here, and a named function a `tool`."""
    assert built(job(tools=[SEARCH, NOW], tool_choice=choice)).get("tool_choice") == expected


def test_calls_and_their_results_keep_their_order() -> None:
    """Calls are blocks of the assistant, and the results that follow one turn of the user, who may go on speaking."""
    turns = built(of([*CALLED, {"role": "user", "content": "well?"}], tools=[SEARCH]))["messages"]
    use = {"type": "tool_use", "id": "call_1", "name": "search", "input": {"city": "Bern"}}
    assert turns[1:] == [
        {"role": "assistant", "content": [use, {**use, "id": "call_2"}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "there"},
                {"type": "tool_result", "tool_use_id": "call_2"},
            ],
        },
        {"role": "user", "content": "well?"},
    ]


@pytest.mark.parametrize(("content", "first"), [("wait", "text"), ("", "tool_use"), (None, "tool_use")])
def test_what_is_said_beside_a_call_stands_before_it(content: str | None, first: str) -> None:
    """Nothing said is no block: this API takes no empty one."""
    turns = built(of([CALLED[0], {**CALLED[1], "content": content}, *CALLED[2:]], tools=[SEARCH]))["messages"]
    assert turns[1]["content"][0]["type"] == first


def test_the_pieces_of_a_result_are_blocks() -> None:
    """A result in pieces stays in pieces."""
    pieces = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    turns = built(of([*CALLED[:2], {**CALLED[2], "content": pieces}, CALLED[3]], tools=[SEARCH]))["messages"]
    assert turns[2]["content"][0]["content"] == pieces


def test_a_schema_becomes_the_format_of_the_answer() -> None:
    """And text is what an answer is anyway."""
    assert built(job(response_format=FORMAT))["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "output_config" not in built(job(response_format={"type": "text"}))


@pytest.mark.parametrize("effort", ["low", "medium", "high", "xhigh"])
def test_an_effort_asks_the_model_to_think(effort: str) -> None:
    """Without adaptive thinking an effort makes some models no more thoughtful."""
    body = built(job(reasoning_effort=effort, response_format=FORMAT))
    assert body["output_config"]["effort"] == effort
    assert body["output_config"]["format"]["schema"] == SCHEMA
    assert body["thinking"] == {"type": "adaptive"}


def test_no_effort_is_no_thinking() -> None:
    """`none` is `disabled` here; and who asks for nothing gets what the model does by itself."""
    body = built(job(reasoning_effort="none"))
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body
    assert "thinking" not in built(job())


@pytest.mark.parametrize("service_tier", ["auto", "standard_only"])
def test_the_tiers_class_of_service_is_asked_for(service_tier: str) -> None:
    """The two values of the API."""
    assert built(job(), service_tier=service_tier)["service_tier"] == service_tier


@pytest.mark.parametrize("role", ["system", "developer"])
def test_an_instruction_between_the_users_turn_and_the_assistants_keeps_its_place(role: str) -> None:
    """That is the one place in a conversation where the API takes it; at its end, too."""
    for rest in ((), (("assistant", "c"), ("user", "d"))):
        turns = built(job(("user", "a"), (role, "b"), *rest))["messages"]
        assert turns[1] == {"role": "system", "content": "b"}


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (said(image(detail="high")), "image_url: "),
        (said(image(detail="low")), "image_url: "),
        (said(image("data:image/bmp;base64,aGVsbG8=")), "image_url: "),
        (said(image(), {"type": "text", "text": " "}), "messages: "),
        (job(response_format={"type": "json_object"}), "response_format: "),
        (
            job(response_format={**FORMAT, "json_schema": {"name": "a", "schema": SCHEMA, "description": "d"}}),
            "response_format: ",
        ),
        (job(reasoning_effort="minimal"), "reasoning_effort: "),
        (job(tools=[{"type": "function", "function": {"name": "a", "parameters": {}}}]), "tools: "),
        (job(tools=[{"type": "function", "function": {"name": "a", "parameters": {"type": "array"}}}]), "tools: "),
        (job(("user", "a"), ("system", "b"), ("system", "c")), "system message"),
        (job(("user", "a"), ("assistant", "b"), ("system", "c"), ("user", "d")), "system message"),
        (of(CALLED[2:]), "starts and ends"),
        (of(CALLED[:2]), "starts and ends"),
        (of([CALLED[0], {**CALLED[1], "content": " "}, *CALLED[2:]]), "messages: "),
        *(
            (of([CALLED[0], {**CALLED[1], "tool_calls": [{**CALL, "function": function}]}, *CALLED[2:]]), "tool_calls")
            for function in (
                *({"name": "a", "arguments": text} for text in ("", "a", "5", '[{"a":1}]', '{"a":NaN}', '{"a":1e999}')),
                {"name": "a.b", "arguments": "{}"},
            )
        ),
        (of([CALLED[0], {**CALLED[1], "tool_calls": [{**CALL, "id": "functions.search:0"}]}, *CALLED[2:]]), "tool_c"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_unsupported_before_the_call(asked: Job, names: str) -> None:
    """Nothing is dropped or rewritten: the job goes to another tier, and the detail says why."""
    assert names in refusal(asked)


def test_a_class_of_service_nobody_here_knows_is_unsupported() -> None:
    """`flex` is OpenAI's."""
    assert refusal(job(), service_tier="flex").startswith("service_tier: ")


TEXTS = st.sampled_from(["a", "\u00e9", '"', " "]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PIECES = st.fixed_dictionaries({"type": st.just("text"), "text": TEXTS}) | st.sampled_from(
    [image(), image("https://a.example/b"), image(detail="low"), image("data:image/tiff;base64,aGk=")]
)
TURNS = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "developer", "assistant"]), "content": TEXTS}),
    st.fixed_dictionaries({"role": st.just("user"), "content": TEXTS | st.lists(PIECES, max_size=3)}),
    st.sampled_from(CALLED[1:]),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 1.1),
    "top_p": st.floats(0.01, 1),
    "stop": st.lists(TEXTS, min_size=1, max_size=3),
    "response_format": st.sampled_from([FORMAT, {"type": "text"}]),
    "tools": st.just([SEARCH, NOW]),
    "reasoning_effort": st.sampled_from(["none", "low", "medium", "high", "xhigh"]),
    "max_tokens": st.integers(1, 4096),
}


def strings(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for inner in value.values() for text in strings(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in strings(inner))


def written(asked: Job) -> Iterator[str]:
    """Every piece of a job's messages."""
    for message in asked.messages:
        yield from (part.text for part in message.parts if isinstance(part, TextPart) and part.text)
        yield from (image.url if image.inline is None else image.inline[1] for image in message.images)
        yield from (text for call in message.tool_calls or () for text in (call.id, call.function.name))
        yield from (message.tool_call_id,) if message.tool_call_id is not None else ()


@given(turns=st.lists(TURNS, max_size=5), fields=st.fixed_dictionaries({}, optional=FIELDS))
def test_a_job_is_sent_whole_or_not_at_all(turns: list[dict[str, Any]], fields: dict[str, Any]) -> None:
    """Whatever the job, what is built is of the SDK's shape and holds every text and every parameter."""
    asked = of([{"role": "user", "content": "begin"}, *turns, {"role": "user", "content": "end"}], **fields)
    request = anthropic().build(ask(asked, MODEL))
    if isinstance(request, Unsupported):
        assert request.detail.partition(": ")[2]
        return
    body = built(asked)
    assert set(written(asked)) <= set(strings(body))
    for name, inside in {"temperature": "temperature", "top_p": "top_p", "stop": "stop_sequences"}.items():
        assert body.get(inside) == fields.get(name)
    assert [tool["name"] for tool in body.get("tools", [])] == [tool.function.name for tool in asked.tools or ()]
    assert ("format" in body.get("output_config", {})) == (fields.get("response_format") == FORMAT)
    assert ("thinking" in body) == ("reasoning_effort" in fields)
