"""What docs/providers.md says that a kind cannot express, each claim with jobs that show it."""

from collections.abc import Mapping
from typing import Any, Final

from chat_cases import CALLED, CONVERSATION, JSON_SCHEMA, PICTURE, SCHEMA, TIME, WEATHER, chat_job, picture
from provider_samples import tier

from pointsman_routes import Job, ProviderKind, Tier

Case = Job | tuple[Job, Tier]
"""A job, for a tier of the kind's usual model unless one is given."""
Claims = Mapping[str, tuple[str, tuple[Case, ...]]]
"""What cannot be expressed, in the page's words -> the parameter that is refused, and jobs that show it."""

_ASSISTANT: Final = {"role": "assistant", "content": "hi"}
_SYSTEM: Final = {"role": "system", "content": "be brief"}
_USER: Final = {"role": "user", "content": "hello"}
_BLANK: Final = {"role": "user", "content": [{"type": "text", "text": " "}, {"type": "text", "text": "hello"}]}
_EMPTY: Final = {"role": "user", "content": ""}
_SHOWN: Final = {"type": "image_url", "image_url": {"url": PICTURE}}


def _called(**fields: Any) -> Job:
    """A conversation with a call of a tool that differs from the usual one."""
    function = {**CALLED["function"], **fields.pop("function", {})}  # type: ignore[dict-item]  # a literal
    call = {**CALLED, "function": function, **fields}
    answer = {"role": "tool", "content": "rain", "tool_call_id": call["id"]}
    return chat_job(_USER, {"role": "assistant", "content": None, "tool_calls": [call]}, answer, tools=[WEATHER])


def _efforts(*efforts: str, model: str | None = None) -> tuple[Case, ...]:
    jobs = (chat_job(reasoning_effort=effort) for effort in efforts)
    return tuple(job if model is None else (job, tier(model)) for job in jobs)


def _tool(**fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **fields}}


def _described() -> Job:
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "description": "a number"}}
    return chat_job(response_format=form)


def _stops(count: int) -> tuple[Case, ...]:
    return (chat_job(stop=[str(n) for n in range(count)]),)


_SEED_64: Final[Claims] = {"a `seed` beyond 64 bits": ("seed", (chat_job(seed=2**63), chat_job(seed=-(2**63) - 1)))}
_NO_SEED: Final[Claims] = {"`seed`": ("seed", (chat_job(seed=7),))}
_FOUR_STOPS: Final[Claims] = {"more than 4 `stop` sequences": ("stop", _stops(5))}
_COOL: Final[Claims] = {"`temperature` above 1": ("temperature", (chat_job(temperature=1.1),))}
_NO_JSON_OBJECT: Final[Claims] = {
    "`json_object`": ("response_format", (chat_job(response_format={"type": "json_object"}),))
}
_FROM_USER: Final[Claims] = {
    "a conversation that does not start with the user": ("messages", (chat_job(_ASSISTANT, _USER), chat_job(_SYSTEM)))
}
_TO_USER: Final[Claims] = {"one that ends with the assistant": ("messages", (chat_job(_USER, _ASSISTANT),))}
_SYSTEM_FIRST: Final[Claims] = {
    "a system message within the conversation": (
        "messages",
        (chat_job(_USER, _ASSISTANT, _SYSTEM, _USER), chat_job(_USER, _SYSTEM, _ASSISTANT, _USER)),
    )
}


def _no_detail(parameter: str) -> Claims:
    jobs = (chat_job(picture(detail="low")), chat_job(picture(detail="high")))
    return {"`detail` `low` or `high` of an image": (parameter, jobs)}


def _objects(parameter: str) -> Claims:
    jobs = (_called(function={"arguments": "[1]"}), _called(function={"arguments": "no"}))
    return {"call arguments that are no JSON object": (parameter, jobs)}


def _described_schema() -> Claims:
    return {"the `description` of a JSON schema": ("response_format", (_described(),))}


def _four_types(words: str, parameter: str) -> Claims:
    return {words: (parameter, (chat_job(picture("data:image/bmp;base64,Qk0=")),))}


def _no_effort(words: str, *efforts: str) -> Claims:
    return {f"`reasoning_effort` {words}": ("reasoning_effort", _efforts(*efforts))}


def _service(words: str) -> Claims:
    return {words: ("service_tier", ((chat_job(), tier("m", service_tier="turbo")),))}


_MESSAGES: Final[Claims] = {
    **_NO_SEED,
    "a `stop` sequence of white space": ("stop", (chat_job(stop=["\n\n"]),)),
    **_no_effort("`minimal`", "minimal"),
    **_NO_JSON_OBJECT,
    **_described_schema(),
    'tool parameters that are not `"type": "object"`': ("tools", (chat_job(tools=[_tool(parameters={})]),)),
    **_FROM_USER,
    **_TO_USER,
    "an empty message or blank text": ("messages", (chat_job(_EMPTY, _USER), chat_job(_BLANK))),
    **_no_detail("image_url"),
    **_four_types("an image other than JPEG, PNG, GIF and WebP", "image_url"),
    **_objects("tool_calls"),
    **_service("`service_tier` other than `auto` and `standard_only`"),
}
_MANY_IMAGES: Final = {"role": "user", "content": [_SHOWN] * 21}
_IN_THE_MIDST: Final = {
    "role": "user",
    "content": [{"type": "text", "text": "a"}, _SHOWN, {"type": "text", "text": "b"}],
}

CLAIMS: Final[Mapping[ProviderKind, Claims]] = {
    ProviderKind.OPENAI: {**_FOUR_STOPS, **_SEED_64},
    ProviderKind.ANTHROPIC: {
        **_MESSAGES,
        **_COOL,
        "a system message within the conversation, other than between user and assistant or at its end": (
            "messages",
            (chat_job(_USER, _ASSISTANT, _SYSTEM, _USER),),
        ),
        "call ids or names of other characters than letters, digits, `_` and `-`": (
            "tool_calls",
            (_called(id="a:1"), _called(function={"name": "a.b"})),
        ),
    },
    ProviderKind.GOOGLE: {
        "more than 5 `stop` sequences": ("stop", _stops(6)),
        "an empty `stop` sequence": ("stop", (chat_job(stop=[""]),)),
        "a `seed` beyond 32 bits": ("seed", (chat_job(seed=2**31), chat_job(seed=-(2**31) - 1))),
        **_described_schema(),
        **_FROM_USER,
        **_TO_USER,
        **_SYSTEM_FIRST,
        "an empty message or text": (
            "messages",
            (chat_job(_EMPTY, _USER), chat_job({"role": "user", "content": [{"type": "text", "text": ""}]}, _USER)),
        ),
        **_no_detail("image_url"),
        "an image by `http:`, or by an address whose name does not tell its type": (
            "image_url",
            (chat_job(picture("http://example.com/a.png")), chat_job(picture("https://example.com/a"))),
        ),
        "the answer of a tool without its call": (
            "tool_call_id",
            (chat_job(_USER, CONVERSATION[-1], tools=[WEATHER]),),
        ),
        **_objects("tool_calls"),
        "any `reasoning_effort` for a model whose name states no generation, or one before 2.5": (
            "reasoning_effort",
            (*_efforts("low", "none", model="gemini-flash-latest"), *_efforts("low", "none", model="gemini-2.0-flash")),
        ),
        "`reasoning_effort` `none` for 2.5 Pro and from Gemini 3 on": (
            "reasoning_effort",
            (*_efforts("none", model="gemini-2.5-pro"), *_efforts("none", model="gemini-3-flash-preview")),
        ),
        "`reasoning_effort` `xhigh` for 2.5": ("reasoning_effort", _efforts("xhigh")),
    },
    ProviderKind.OLLAMA: {
        "an image by its address": ("messages", (chat_job(picture("https://example.com/a.png")),)),
        "an image in the midst of text": ("messages", (chat_job(_IN_THE_MIDST),)),
        **_no_detail("detail"),
        "`[img]` in the text beside an image": (
            "messages",
            (chat_job({"role": "user", "content": [_SHOWN, {"type": "text", "text": "see [img]"}]}),),
        ),
        "`tool_choice` other than `auto`": (
            "tool_choice",
            (chat_job(tools=[WEATHER], tool_choice="none"), chat_job(tools=[WEATHER], tool_choice="required")),
        ),
        "`strict` tools": ("strict", (chat_job(tools=[TIME]),)),
        "words of a tool's schema that the server drops, such as `pattern`": (
            "tools",
            (chat_job(tools=[_tool(parameters={"type": "object", "properties": {"a": {"pattern": "x"}}})]),),
        ),
        "tools together with JSON": (
            "response_format",
            (chat_job(tools=[_tool()], response_format={"type": "json_object"}),),
        ),
        **_described_schema(),
        "a `seed` outside 0 to 4,294,967,294": ("seed", (chat_job(seed=-1), chat_job(seed=4_294_967_295))),
        "a conversation that ends with the assistant": _TO_USER["one that ends with the assistant"],
        **_objects("tool_calls"),
        "`reasoning_effort` other than `none`, or for gpt-oss other than `low`, `medium` and `high`": (
            "reasoning_effort",
            (
                *_efforts("minimal", "low", "medium", "high", "xhigh"),
                *_efforts("none", "minimal", "xhigh", model="gpt-oss:20b"),
            ),
        ),
        **_service("any `service_tier`"),
    },
    ProviderKind.BEDROCK: {
        **_NO_SEED,
        **_COOL,
        "an empty `stop` sequence": ("stop", (chat_job(stop=[""]),)),
        **_NO_JSON_OBJECT,
        "`tool_choice` `none`": ("tool_choice", (chat_job(tools=[WEATHER], tool_choice="none"),)),
        **_no_effort("`none`, `minimal` or `xhigh`", "none", "minimal", "xhigh"),
        **_FROM_USER,
        **_TO_USER,
        "two turns of the user, or of the assistant, in a row": (
            "messages",
            (chat_job(_USER, _USER), chat_job(_USER, _ASSISTANT, _ASSISTANT, _USER)),
        ),
        **_SYSTEM_FIRST,
        "calls of tools in the conversation without `tools`": ("tools", (chat_job(*CONVERSATION),)),
        "blank text": ("messages", (chat_job(_BLANK),)),
        "call ids or names of other characters, or longer than 64": (
            "messages",
            (
                _called(id="a b"),
                _called(id="a" * 65),
                _called(function={"name": "a.b"}),
                _called(function={"name": "a" * 65}),
            ),
        ),
        **_objects("messages"),
        "more than 20 images in a message": ("messages", (chat_job(_MANY_IMAGES),)),
        "an image by its address": ("messages", (chat_job(picture("https://example.com/a.png")),)),
        **_four_types("an image other than PNG, JPEG, GIF and WebP", "messages"),
        **_no_detail("messages"),
        **_service("`service_tier` other than `default`, `flex`, `priority` and `reserved`"),
    },
    ProviderKind.OPENROUTER: {**_FOUR_STOPS, **_SEED_64},
    ProviderKind.AZURE: {**_FOUR_STOPS, **_SEED_64},
    ProviderKind.MISTRAL: {
        "`temperature` above 1.5": ("temperature", (chat_job(temperature=1.6),)),
        "a `seed` below 0 or beyond 64 bits": ("seed", (chat_job(seed=-1), chat_job(seed=2**63))),
        "a conversation that ends with the assistant": _TO_USER["one that ends with the assistant"],
        "call ids that are not nine letters and digits": ("messages", (_called(), _called(id="a_3456789"))),
    },
    ProviderKind.GROQ: {**_FOUR_STOPS, **_SEED_64, **_no_effort("`minimal` or `xhigh`", "minimal", "xhigh")},
    ProviderKind.OPENAI_COMPATIBLE: _SEED_64,
    ProviderKind.ANTHROPIC_COMPATIBLE: {**_MESSAGES, **_SYSTEM_FIRST},
    ProviderKind.DEEPSEEK: {
        **_NO_SEED,
        "`json_schema`": ("response_format", (chat_job(response_format=JSON_SCHEMA),)),
        **_no_effort("`minimal`, `medium` or `xhigh`", "minimal", "medium", "xhigh"),
        "`temperature` while it thinks": (
            "temperature",
            (chat_job(temperature=0.5), chat_job(temperature=0.5, reasoning_effort="high")),
        ),
        "`top_p` while it thinks": ("top_p", (chat_job(top_p=0.5), chat_job(top_p=0.5, reasoning_effort="low"))),
        "calls of tools in the conversation while it thinks": ("messages", (chat_job(*CONVERSATION, tools=[WEATHER]),)),
    },
    ProviderKind.XAI: {**_FOUR_STOPS, **_SEED_64, **_no_effort("`minimal`", "minimal")},
    ProviderKind.CEREBRAS: {**_FOUR_STOPS, **_SEED_64, **_no_effort("`minimal` or `xhigh`", "minimal", "xhigh")},
    ProviderKind.MOONSHOT: {
        **_NO_SEED,
        **_COOL,
        "an image by its address": ("messages", (chat_job(picture("https://example.com/a.png")),)),
        "more than 5 `stop` sequences": ("stop", _stops(6)),
        "a `stop` sequence of more than 32 bytes": ("stop", (chat_job(stop=["ä" * 17]),)),
        **_no_effort("`minimal`, `medium` or `xhigh`", "minimal", "medium", "xhigh"),
    },
    ProviderKind.TOGETHER: {**_COOL, **_SEED_64, **_no_effort("`minimal` or `xhigh`", "minimal", "xhigh")},
    ProviderKind.FIREWORKS: {**_FOUR_STOPS, **_SEED_64, **_no_effort("`minimal` or `xhigh`", "minimal", "xhigh")},
    ProviderKind.VLLM: _SEED_64,
}
"""Every claim of the page."""
