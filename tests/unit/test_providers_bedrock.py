"""Converse: what is sent, held against AWS's own description of the request, and what cannot be sent."""

import base64
import json
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from bedrock_samples import FRANKFURT, MODEL, codec
from bedrock_shape import enumerated, path_of, request_problems, serialized
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, job, sent, tier

from pointsman_routes import (
    Job,
    Unsupported,
)
from pointsman_worker.providers import Ask, WireRequest

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place.",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "strict": True}}
SCHEMA = {"type": "object", "properties": {"größe": {"type": "integer"}}, "additionalProperties": False}
CALLS = [{"id": f"tooluse_{n}", "type": "function",
          "function": {"name": "get_weather", "arguments": f'{{"place": "{place}"}}'}}
         for n, place in enumerate(("Bonn", "Köln"))]  # fmt: skip


def jobs(*messages: dict[str, Any], **fields: Any) -> Job:
    """A job of messages as a producer writes them."""
    return Job.model_validate({"custom_id": "t-1", "class": "triage", "messages": messages, **fields})


def ask(asked: Job, model: str = MODEL, **fields: Any) -> Ask:
    """A job for a tier."""
    return Ask(job=asked, tier=tier(model, **fields), max_tokens=64)


def image(url: str, **fields: str) -> dict[str, Any]:
    """An image part."""
    return {"type": "image_url", "image_url": {"url": url, **fields}}


def body_of(asked: Job, **fields: Any) -> dict[str, Any]:
    """The body of a job, after AWS's description of it has been asked, and its own serializer agrees."""
    body: dict[str, Any] = sent(codec().build(ask(asked, **fields)))
    assert request_problems(MODEL, body) == []
    assert serialized(MODEL, body) == body
    return body


def detail_of(asked: Job, region: str | None = None, **fields: Any) -> str:
    """Why a job is unsupported."""
    problem = codec(region).build(ask(asked, **fields))
    assert isinstance(problem, Unsupported), problem
    return problem.detail


USER = {"role": "user", "content": "hi"}


def test_a_plain_job_is_a_bearer_call_of_its_model() -> None:
    """The path names the model, the key is a bearer token, and nothing is sent that was not asked for."""
    request = codec().build(ask(job(("user", "hi"))))
    assert isinstance(request, WireRequest)
    assert request.url == f"{FRANKFURT}/model/{MODEL}/converse"
    assert request.headers == {"content-type": "application/json", "authorization": f"Bearer {KEY.reveal()}"}
    assert sent(request) == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 64},
    }
    assert KEY.reveal() not in repr(request)
    assert KEY.reveal() not in repr(codec())


@pytest.mark.parametrize(
    "model",
    [
        "amazon.nova-lite-v1:0",
        MODEL,
        f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/{MODEL}",
        "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/a1b2c3",
    ],
)
def test_the_path_is_botocores_but_for_the_colon(model: str) -> None:
    """A slash inside a name is encoded; a colon, which RFC 3986 allows in a path, stands as it will be sent."""
    request = codec(base_url=f"{FRANKFURT}/").build(ask(job(), model))
    assert isinstance(request, WireRequest)
    path = urlsplit(request.url).path
    assert path.replace(":", "%3A") == path_of(model)
    assert unquote(path) == f"/model/{model}/converse"


def test_a_key_that_is_not_there_sends_no_header() -> None:
    """A gateway of one's own may ask for none."""
    request = codec(key=None).build(ask(job()))
    assert isinstance(request, WireRequest)
    assert "authorization" not in request.headers


def test_every_parameter_has_its_place() -> None:
    """Leading instructions, limits, sampling, stops, service tier: each where Converse has it."""
    asked = job(
        ("system", "be brief"), ("developer", "be kind"), ("user", "a"), ("assistant", "b"), ("user", "c"),
        temperature=0, top_p=0.5, stop=["END", "\n"], reasoning_effort="low",
    )  # fmt: skip
    assert body_of(asked, service_tier="flex") == {
        "system": [{"text": "be brief"}, {"text": "be kind"}],
        "messages": [
            {"role": "user", "content": [{"text": "a"}]},
            {"role": "assistant", "content": [{"text": "b"}]},
            {"role": "user", "content": [{"text": "c"}]},
        ],
        "inferenceConfig": {"maxTokens": 64, "temperature": 0, "topP": 0.5, "stopSequences": ["END", "\n"]},
        "outputConfig": {"effort": "low"},
        "serviceTier": {"type": "flex"},
    }


def test_images_go_inline_in_each_format() -> None:
    """The bytes travel as the job has them, with the text around them in order."""
    for media, name in (("png", "png"), ("jpeg", "jpeg"), ("gif", "gif"), ("webp", "webp")):
        parts = [{"type": "text", "text": "what"}, image(f"data:image/{media};base64,{PIXEL}", detail="auto")]
        body = body_of(jobs({"role": "user", "content": [*parts, {"type": "text", "text": "is it?"}]}))
        assert body["messages"][0]["content"] == [
            {"text": "what"},
            {"image": {"format": name, "source": {"bytes": PIXEL}}},
            {"text": "is it?"},
        ]
        assert name in enumerated("ImageFormat")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "clock"}}, {"tool": {"name": "clock"}}),
    ],
)
def test_tools_and_the_choice_among_them(choice: object, expected: object) -> None:
    """A function without parameters has the schema of an empty object, since one is required."""
    config = body_of(jobs(USER, tools=[WEATHER, CLOCK], tool_choice=choice))["toolConfig"]
    assert config.get("toolChoice") == expected
    assert config["tools"] == [
        {
            "toolSpec": {
                "name": "get_weather",
                "description": "The weather of a place.",
                "inputSchema": {"json": WEATHER["function"]["parameters"]},  # type: ignore[index]  # a literal
            }
        },
        {"toolSpec": {"name": "clock", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": True}},
    ]


def test_what_tools_gave_opens_the_turn_of_the_user() -> None:
    """All results of one turn stand in one message, as Converse demands, and what the user says next joins them."""
    asked = jobs(
        USER,
        {"role": "assistant", "content": "I'll look.", "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "tooluse_0", "content": "rain"},
        {"role": "tool", "tool_call_id": "tooluse_1", "content": ""},
        {"role": "user", "content": "so?"},
        {"role": "assistant", "content": None, "tool_calls": CALLS[:1]},
        {"role": "tool", "tool_call_id": "tooluse_0", "content": [{"type": "text", "text": "sun"}]},
        tools=[WEATHER],
    )
    uses = [
        {"toolUse": {"toolUseId": f"tooluse_{n}", "name": "get_weather", "input": {"place": place}}}
        for n, place in enumerate(("Bonn", "Köln"))
    ]
    assert body_of(asked)["messages"][1:] == [
        {"role": "assistant", "content": [{"text": "I'll look."}, *uses]},
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "tooluse_0", "content": [{"text": "rain"}]}},
                {"toolResult": {"toolUseId": "tooluse_1", "content": []}},
                {"text": "so?"},
            ],
        },
        {"role": "assistant", "content": uses[:1]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "tooluse_0", "content": [{"text": "sun"}]}}]},
    ]


def test_nothing_said_beside_a_call_is_no_text() -> None:
    """Other vendors' answers hold an empty string there, which Converse would refuse."""
    for nothing in ("", None, [], [{"type": "text", "text": ""}]):
        asked = jobs(
            USER,
            {"role": "assistant", "content": nothing, "tool_calls": CALLS[:1]},
            {"role": "tool", "tool_call_id": "tooluse_0", "content": "x"},
            tools=[WEATHER],
        )
        said = body_of(asked)["messages"][1]["content"]
        assert [list(block) for block in said] == [["toolUse"]]


@pytest.mark.parametrize("strict", [None, True, False])
def test_a_schema_is_sent_as_text(strict: bool | None) -> None:
    """Converse wants the schema as a string; it enforces it always."""
    asked = {"name": "size", "description": "a size", "schema": SCHEMA, "strict": strict}
    output = body_of(jobs(USER, response_format={"type": "json_schema", "json_schema": asked}))["outputConfig"]
    definition = output["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(definition.pop("schema")) == SCHEMA
    assert definition == {"name": "size", "description": "a size"}
    assert output["textFormat"]["type"] in enumerated("OutputFormatType")


def test_text_is_the_format_anyway() -> None:
    """Asking for text changes nothing."""
    assert body_of(jobs(USER, response_format={"type": "text"})) == body_of(jobs(USER))


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (jobs(USER, seed=0), "seed"),
        (jobs(USER, temperature=1.01), "temperature: Converse takes 0 to 1"),
        (jobs(USER, stop=[""]), "stop"),
        (jobs(USER, response_format={"type": "json_object"}), "response_format"),
        (jobs(USER, tools=[CLOCK], tool_choice="none"), "tool_choice"),
        (jobs(USER, reasoning_effort="none"), "reasoning_effort"),
        (jobs(USER, reasoning_effort="minimal"), "reasoning_effort"),
        (jobs(USER, reasoning_effort="xhigh"), "reasoning_effort"),
        (jobs({"role": "user", "content": [image("https://example.com/a.png")]}), "fetches no image"),
        (jobs({"role": "user", "content": [image(f"data:image/bmp;base64,{PIXEL}")]}), "an image is image/bmp"),
        (jobs({"role": "user", "content": [image(f"data:image/png;base64,{PIXEL}", detail="low")]}), "detail"),
        (jobs({"role": "user", "content": [image(f"data:image/png;base64,{PIXEL}")] * 21}), "at most 20 images"),
        (job(("user", "a"), ("system", "b"), ("user", "c")), "at the start only"),
        (job(("user", "a"), ("developer", "b"), ("user", "c")), "at the start only"),
        (job(("system", "a")), "starts with the user"),
        (job(("assistant", "a"), ("user", "b")), "starts with the user"),
        (job(("user", "a"), ("assistant", "b")), "ends with the user"),
        (job(("user", "a"), ("user", "b")), "take turns"),
        (job(("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")), "take turns"),
        (jobs(USER, {"role": "tool", "tool_call_id": "c", "content": "x"}, tools=[CLOCK]), "take turns"),
        (job(("user", "a"), ("assistant", " "), ("user", "c")), "blank"),
        (job(("system", ""), ("user", "c")), "blank"),
        (job(("user", "c"), ("assistant", "")), "ends with"),
        (jobs({"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "b"}]}), "blank"),
        (jobs(USER, {"role": "assistant", "content": []}, USER), "blank"),
        (jobs(USER, {"role": "assistant", "content": "\n", "tool_calls": CALLS[:1]},
              {"role": "tool", "tool_call_id": "tooluse_0", "content": "x"}, tools=[WEATHER]), "blank"),
        (jobs(USER, {"role": "assistant", "tool_calls": CALLS[:1]},
              {"role": "tool", "tool_call_id": "tooluse_0", "content": "x"}), "tools: "),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_unsupported_before_the_call(asked: Job, names: str) -> None:
    """Nothing is dropped: the job goes to another tier, and the detail says why."""
    assert names in detail_of(asked)


@pytest.mark.parametrize(
    ("call_id", "name", "arguments", "words"),
    [
        ("call 1", "clock", "{}", "characters"),
        ("c" * 65, "clock", "{}", "characters"),
        ("c", "what time?", "{}", "characters"),
        ("c", "clock", "", "JSON object"),
        ("c", "clock", "[{}]", "JSON object"),
        ("c", "clock", '{"a": NaN}', "JSON object"),
    ],
)
def test_a_call_that_converse_would_refuse_is_not_sent(call_id: str, name: str, arguments: str, words: str) -> None:
    """Ids, names and arguments another vendor's model made may have a form Converse does not take."""
    called = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    asked = jobs(
        USER,
        {"role": "assistant", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": call_id, "content": "x"},
        tools=[CLOCK],
    )
    assert words in detail_of(asked)


def test_a_service_tier_converse_does_not_have_is_not_sent() -> None:
    """Every one it has is."""
    for name in enumerated("ServiceTierType"):
        assert body_of(job(), service_tier=name)["serviceTier"] == {"type": name}
    assert "service_tier" in detail_of(job(), service_tier="scale")


@pytest.mark.parametrize(
    ("region", "model", "allowed"),
    [
        ("eu", MODEL, True),
        ("eu", "global.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("eu", "us.anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("us", "anthropic.claude-haiku-4-5-20251001-v1:0", False),
        ("global", "global.anthropic.claude-haiku-4-5-20251001-v1:0", True),
        (None, "global.anthropic.claude-haiku-4-5-20251001-v1:0", True),
    ],
)
def test_a_call_that_may_leave_the_declared_region_is_never_made(region: str | None, model: str, allowed: bool) -> None:
    """Converse does not say where it ran, so the wall stands before the call."""
    built = codec(region).build(ask(job(), model))
    assert isinstance(built, WireRequest if allowed else Unsupported)
    assert allowed or built.detail.startswith("region: ")  # type: ignore[union-attr]  # told by `allowed`


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": TEXT})
    | st.sampled_from([image(f"data:image/png;base64,{PIXEL}"), image("https://example.com/a.png")]),
    max_size=3,
)
MESSAGES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": TEXT}),
        st.fixed_dictionaries({"role": st.just("user"), "content": TEXT | PARTS}),
        st.fixed_dictionaries(
            {"role": st.just("assistant"), "content": st.none() | TEXT, "tool_calls": st.just(CALLS[:1])}
        ),
        st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": st.just("tooluse_0"), "content": TEXT}),
    ),
    max_size=4,
).map(lambda rest: [USER, *rest])
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1, exclude_min=True),
        "stop": st.lists(TEXT, max_size=3),
        "seed": st.integers(0, 9),
        "tools": st.sampled_from([[WEATHER], [WEATHER, CLOCK]]),
        "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
        "response_format": st.sampled_from(
            [{"type": "text"}, {"type": "json_object"},
             {"type": "json_schema", "json_schema": {"name": "size", "schema": SCHEMA}}]
        ),
    },
)  # fmt: skip


@given(messages=MESSAGES, parameters=PARAMETERS)
def test_any_job_is_either_whole_in_a_valid_request_or_unsupported(
    messages: list[dict[str, Any]], parameters: dict[str, Any]
) -> None:
    """AWS's own validator takes whatever is built, and every text of the job is in it."""
    asked = jobs(*messages, **parameters)
    built = codec().build(ask(asked))
    if isinstance(built, Unsupported):
        assert ": " in built.detail
        return
    body = sent(built)
    assert request_problems(MODEL, body) == []
    assert serialized(MODEL, body) == body
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant"] * (len(body["messages"]) // 2) + [
        "user"
    ]
    written = json.dumps([body.get("system"), body["messages"]])
    assert all(json.dumps(text)[1:-1] in written for message in asked.messages for text in [message.text])
    told = body["inferenceConfig"]
    assert (told.get("temperature"), told.get("topP")) == (asked.temperature, asked.top_p)
    assert tuple(told.get("stopSequences", ())) == (asked.stop or ())
    assert asked.seed is None
    assert ("toolConfig" in body) is (asked.tools is not None)
    assert body.get("outputConfig", {}).get("effort") == asked.reasoning_effort
