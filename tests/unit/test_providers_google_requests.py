"""Google's generateContent: what is sent, and what is unsupported before the call."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from google.genai import types
from google_samples import (
    CLOCK,
    MODEL,
    PIXEL,
    SEARCH,
    USER,
    answering,
    built,
    calling,
    faults,
    gemini,
    reason_against,
    turns,
    vertex,
)
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import KEY, ask, job, sent, tier

from pointsman_routes import Job, Unsupported
from pointsman_worker.providers import Ask, WireRequest
from pointsman_worker.providers.google import GEMINI_URL


def test_every_parameter_of_the_job_is_sent_and_nothing_else() -> None:
    """Instructions, turns and parameters stand under Google's names, with none of the metadata."""
    asked = job(
        ("system", "be brief"),
        ("developer", "be kind"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        temperature=0,
        top_p=0.9,
        stop=["END"],
        seed=7,
        reasoning_effort="low",
        metadata={"team": "x"},
    )
    assert built(asked) == {
        "systemInstruction": {"parts": [{"text": "be brief"}, {"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}]},
            {"role": "model", "parts": [{"text": "b"}]},
            {"role": "user", "parts": [{"text": "c"}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 64,
            "temperature": 0,
            "topP": 0.9,
            "stopSequences": ["END"],
            "seed": 7,
            "thinkingConfig": {"thinkingBudget": 1024},
        },
    }


def test_a_zero_is_a_parameter_not_an_absence() -> None:
    """Temperature 0 and seed 0 are sent."""
    config = built(job(temperature=0, seed=0))["generationConfig"]
    assert (config["temperature"], config["seed"]) == (0, 0)


def test_the_gemini_api_is_called_by_key() -> None:
    """The model stands in the path and the key in its own header, never in the address."""
    request = gemini().build(ask(model="gemini-2.5-flash"))
    assert isinstance(request, WireRequest)
    assert request.url == f"{GEMINI_URL}/v1beta/models/gemini-2.5-flash:generateContent"
    assert request.headers == {"content-type": "application/json", "x-goog-api-key": KEY.reveal()}
    assert KEY.reveal() not in repr(request)


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
    ],
)
def test_vertex_is_called_by_bearer_token_at_the_host_of_its_location(location: str, host: str) -> None:
    """The location decides where data is processed, so it decides the host too."""
    request = vertex(location).build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    path = f"v1/projects/acme-1/locations/{location}/publishers/google/models/{MODEL}:generateContent"
    assert request.url == f"https://{host}/{path}"
    assert request.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert "x-goog-api-key" not in request.headers


def test_an_address_of_your_own_is_kept() -> None:
    """A private endpoint or a gateway is called whatever the location."""
    request = vertex("eu", "https://gateway.example/google/").build(ask(model=MODEL))
    assert isinstance(request, WireRequest)
    assert request.url.startswith("https://gateway.example/google/v1/projects/acme-1/locations/eu/")


@pytest.mark.parametrize("model", ["../secrets", "a/b?key=1", "m#x", "ä b"])
def test_a_model_name_cannot_leave_its_place_in_the_address(model: str) -> None:
    """Whatever stands in the name is quoted."""
    request = gemini().build(ask(model=model))
    assert isinstance(request, WireRequest)
    name = request.url.removeprefix(f"{GEMINI_URL}/v1beta/models/").removesuffix(":generateContent")
    assert not set(name) & set("/?# ")
    assert name.isascii()


def test_the_class_of_service_is_asked_for_where_each_service_has_it() -> None:
    """The Gemini API takes it in the body, Vertex AI in a header."""
    asked = Ask(job=job(), tier=tier(MODEL, service_tier="flex"), max_tokens=64)
    assert sent(gemini().build(asked))["serviceTier"] == "flex"
    request = vertex().build(asked)
    assert isinstance(request, WireRequest)
    assert request.headers["x-vertex-ai-llm-shared-request-type"] == "flex"
    assert "serviceTier" not in sent(request)


def test_images_are_sent_inline_or_by_address() -> None:
    """An image in the job is inlineData, one to fetch is fileData with the type its name tells."""
    content = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a/cat.JPG?size=2"}},
    ]
    for codec in (gemini(), vertex()):
        assert built(turns({"role": "user", "content": content}), codec=codec)["contents"] == [
            {
                "role": "user",
                "parts": [
                    {"text": "what is it?"},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                    {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.com/a/cat.JPG?size=2"}},
                ],
            }
        ]


@pytest.mark.parametrize(
    ("response_format", "config"),
    [
        ({"type": "text"}, {}),
        ({"type": "json_object"}, {"responseMimeType": "application/json"}),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        ),
    ],
)
def test_the_form_of_the_answer_is_asked_for(response_format: object, config: Mapping[str, object]) -> None:
    """A schema is sent as JSON Schema, untouched."""
    assert built(job(response_format=response_format))["generationConfig"] == {"maxOutputTokens": 64, **config}


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        (None, None, None),
        ("auto", None, {"mode": "AUTO"}),
        ("none", True, {"mode": "NONE"}),
        ("required", None, {"mode": "ANY"}),
        (None, True, {"mode": "VALIDATED"}),
        ("auto", True, {"mode": "VALIDATED"}),
        ("required", True, {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "clock"}},
            None,
            {"mode": "ANY", "allowedFunctionNames": ["clock"]},
        ),
    ],
)
def test_tools_and_the_choice_among_them_are_sent(
    choice: object, strict: bool | None, config: Mapping[str, object] | None
) -> None:
    """Parameters stay JSON Schema; a strict one makes Google promise that arguments follow it."""
    search = {**SEARCH, "function": {**SEARCH["function"], "strict": strict}}  # type: ignore[dict-item]  # a literal
    body = built(job(tools=[search, CLOCK], tool_choice=choice))
    function: Any = SEARCH["function"]
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "search", "description": "looks it up", "parametersJsonSchema": function["parameters"]},
                {"name": "clock"},
            ]
        }
    ]
    assert body.get("toolConfig") == ({"functionCallingConfig": config} if config is not None else None)


PARALLEL = turns(
    USER,
    calling(("c1", "search", '{"q": "a"}'), ("c2", "search", '{"q": "b"}'), content="one moment"),
    answering("c2", "B"),
    answering("c1", ""),
    {"role": "user", "content": "and?"},
    tools=[SEARCH],
)


def test_what_tools_answered_is_one_turn_in_the_order_of_the_calls() -> None:
    """The API wants as many results in the turn after the calls as there were calls."""
    calls = [
        {"text": "one moment"},
        {"functionCall": {"id": "c1", "name": "search", "args": {"q": "a"}}},
        {"functionCall": {"id": "c2", "name": "search", "args": {"q": "b"}}},
    ]
    results = [
        {"functionResponse": {"id": "c1", "name": "search", "response": {"output": ""}}},
        {"functionResponse": {"id": "c2", "name": "search", "response": {"output": "B"}}},
    ]
    assert built(PARALLEL)["contents"] == [
        {"role": "user", "parts": [{"text": "hello"}]},
        {"role": "model", "parts": calls},
        {"role": "user", "parts": results},
        {"role": "user", "parts": [{"text": "and?"}]},
    ]


def test_vertex_gets_no_ids_of_calls() -> None:
    """Its v1 does not know them and refuses what it does not know; the order says which result is whose."""
    contents = built(PARALLEL, codec=vertex())["contents"]
    assert "id" not in json.dumps(contents)
    assert [part["functionResponse"]["response"]["output"] for part in contents[2]["parts"]] == ["", "B"]


@pytest.mark.parametrize(
    ("model", "signed"),
    [
        ("gemini-1.5-pro", False),
        ("gemini-2.5-flash-lite", False),
        ("gemini-3-pro-preview", True),
        ("gemini-3.5-flash", True),
        ("gemini-flash-latest", True),
    ],
)
def test_the_first_call_of_a_turn_has_googles_word_for_unsigned_where_one_is_wanted(model: str, signed: bool) -> None:
    """Gemini 3 refuses a first call without a signature; an alias may stand for it."""
    body = sent(gemini().build(ask(PARALLEL, model)))
    first, second = (part for part in body["contents"][1]["parts"] if "functionCall" in part)
    assert first.get("thoughtSignature") == ("skip_thought_signature_validator" if signed else None)
    assert "thoughtSignature" not in second
    types.Content.model_validate(body["contents"][1])


def test_an_id_that_comes_twice_means_the_later_call() -> None:
    """A conversation may go through a server that numbers calls anew in each answer."""
    asked = turns(
        USER,
        calling(("call_0", "search", "{}")),
        answering("call_0", "A"),
        calling(("call_1", "search", "{}"), ("call_0", "clock", "{}")),
        answering("call_0", "12:00"),
        answering("call_1", "B"),
    )
    parts = [part for turn in built(asked)["contents"] for part in turn["parts"]]
    results = [part["functionResponse"] for part in parts if "functionResponse" in part]
    told = [(result["name"], result["response"]["output"]) for result in results]
    assert told == [("search", "A"), ("search", "B"), ("clock", "12:00")]


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-pro", "minimal", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "low", {"thinkingBudget": 1024}),
        ("gemini-2.5-pro", "medium", {"thinkingBudget": 8192}),
        ("gemini-2.5-pro", "high", {"thinkingBudget": 24576}),
        ("gemini-3-flash-preview", "minimal", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro-preview", "low", {"thinkingLevel": "LOW"}),
        ("gemini-3.5-flash", "medium", {"thinkingLevel": "MEDIUM"}),
        ("gemini-3.5-flash", "high", {"thinkingLevel": "HIGH"}),
        ("gemini-3.5-flash", "xhigh", {"thinkingLevel": "XHIGH"}),
    ],
)
def test_an_effort_is_a_budget_or_a_level_by_the_models_generation(
    model: str, effort: str, config: Mapping[str, object]
) -> None:
    """Gemini 2.5 takes tokens, by Google's own table; Gemini 3 takes a level of the same name."""
    assert built(job(reasoning_effort=effort), model)["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(
    ("model", "effort", "why"),
    [
        ("gemini-2.5-pro", "none", "cannot stop thinking"),
        ("gemini-3-flash-preview", "none", "cannot stop thinking"),
        ("gemini-2.5-flash", "xhigh", "no budget"),
        ("gemini-2.0-flash", "low", "does not think"),
        ("gemini-flash-latest", "low", "not known"),
        ("gemma-3-27b-it", "low", "not known"),
    ],
)
def test_an_effort_a_model_has_no_word_for_is_unsupported(model: str, effort: str, why: str) -> None:
    """Nothing is rounded to the next effort there is."""
    detail = reason_against(job(reasoning_effort=effort), model)
    assert detail.startswith("reasoning_effort: ")
    assert why in detail


def image(url: str, detail: str | None = None) -> Job:
    """A job with an image."""
    part = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
    return turns({"role": "user", "content": [part]})


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (job(stop=["a", "b", "c", "d", "e", "f"]), "stop: "),
        (job(stop=[""]), "stop: "),
        (job(seed=2**31), "seed: "),
        (job(seed=-(2**31) - 1), "seed: "),
        (job(("system", "a")), "messages: "),
        (job(("assistant", "a"), ("user", "b")), "messages: "),
        (job(("user", "a"), ("assistant", "b")), "messages: "),
        (job(("user", "a"), ("system", "b"), ("user", "c")), "messages: "),
        (job(("user", "a"), ("developer", "b"), ("user", "c")), "messages: "),
        (job(("system", ""), ("user", "b")), "messages: "),
        (job(("user", "a"), ("assistant", ""), ("user", "b")), "messages: "),
        (turns(USER, {"role": "user", "content": []}), "messages: "),
        (turns(USER, {"role": "user", "content": [{"type": "text", "text": ""}]}), "messages: "),
        (image(f"data:image/png;base64,{PIXEL}", "low"), "image_url: "),
        (image("http://example.com/cat.png"), "image_url: "),
        (image("https://example.com/cat"), "image_url: "),
        (image("https://[::1"), "image_url: "),
        (turns(USER, answering("c1", "x")), "tool_call_id: "),
        (turns(USER, answering("c1", "x"), calling(("c1", "search", "{}")), answering("c1", "x")), "tool_call_id: "),
        (turns(USER, calling(("c1", "search", "[]")), answering("c1", "x")), "tool_calls: "),
        (turns(USER, calling(("c1", "search", "{")), answering("c1", "x")), "tool_calls: "),
        (turns(USER, calling(("c1", "search", '{"a": 1e999}')), answering("c1", "x")), "tool_calls: "),
        (job(response_format={"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}}}),
         "response_format: "),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_unsupported_before_the_call(asked: Job, names: str) -> None:
    """Nothing is dropped: the job goes to another tier, and the detail names the parameter."""
    assert reason_against(asked).startswith(names)


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PARAMETERS: dict[str, st.SearchStrategy[object]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0.01, 1),
    "stop": st.lists(TEXT, min_size=1, max_size=8),
    "seed": st.integers(-(2**33), 2**33),
    "reasoning_effort": st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh"]),
    "response_format": st.sampled_from([{"type": "json_object"}, {"type": "text"}]),
    "tools": st.just([SEARCH, CLOCK]),
}


@given(
    fields=st.fixed_dictionaries({}, optional=PARAMETERS),
    roles=st.lists(st.sampled_from(["system", "developer", "user", "assistant"]), min_size=1, max_size=5),
    model=st.sampled_from(["gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview", "gemini-flash-latest"]),
)
def test_every_parameter_is_in_the_request_or_the_job_is_unsupported(
    fields: dict[str, Any], roles: list[str], model: str
) -> None:
    """Whatever the job, the request is one the SDK's types know, with all of it; or none is made."""
    asked = job(*((role, f"text {n}") for n, role in enumerate(roles)), **fields)
    request = gemini().build(ask(asked, model))
    if isinstance(request, Unsupported):
        assert request.detail.partition(":")[0] in {*PARAMETERS, "messages"}
        return
    body = sent(request)
    assert faults(body) == {}
    instructions = [part["text"] for part in body.get("systemInstruction", {"parts": []})["parts"]]
    texts = [*instructions, *(part["text"] for turn in body["contents"] for part in turn["parts"])]
    assert texts == [f"text {n}" for n in range(len(roles))]
    config = body["generationConfig"]
    names = {"temperature": "temperature", "top_p": "topP", "stop": "stopSequences", "seed": "seed"}
    for name, theirs in names.items():
        assert config.get(theirs) == fields.get(name)
    assert ("thinkingConfig" in config) is ("reasoning_effort" in fields)
    assert ("tools" in body) is ("tools" in fields)
    assert ("responseMimeType" in config) is (fields.get("response_format") == {"type": "json_object"})
