"""A job as the messages API has it, or why it cannot.

Sources: platform.claude.com, API reference (messages), tool use, vision, structured outputs, effort, thinking, system
messages in the middle of a conversation; and the request types of Anthropic's SDK for Python, 2.13.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pointsman_routes import ImagePart, Job, Message, NamedTool, TextPart, Tool, ToolCall

from .payload import read_arguments
from .protocol import Ask

_INSTRUCTIONS: Final = frozenset({"system", "developer"})
_EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh"})
_SERVICE_TIERS: Final = frozenset({"auto", "standard_only"})
_MEDIA_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "none": "none", "required": "any"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where those who speak the messages API differ."""

    hottest: float
    """The highest temperature."""
    instructions_midway: bool
    """Whether a system message may stand in the middle of a conversation."""
    plain_names: bool
    """Whether the id and the name of a tool call consist of letters, digits, `_` and `-` only."""
    adaptive: bool
    """Whether it takes `thinking: adaptive`, without which an effort makes some models no more thoughtful."""


def problems(ask: Ask, dialect: Dialect) -> Iterator[str]:
    """What the messages API cannot express of a job, as `parameter: why`."""
    turns = ask.job.messages[_opening(ask.job) :]
    yield from _settings(ask, dialect)
    yield from _form(ask.job)
    yield from _order([turn.role for turn in turns], dialect)
    for message in ask.job.messages:
        yield from _contents(message, dialect)


def body_of(ask: Ask, dialect: Dialect) -> dict[str, object]:
    """The request for a job without problems.

    The name of a JSON Schema has no place in it, being a label to whoever wrote it, and neither has its `strict`: an
    answer always follows the schema.
    """
    job, opening = ask.job, _opening(ask.job)
    given: dict[str, object] = {
        "model": ask.tier.model,
        "max_tokens": ask.max_tokens,
        "system": _system(job.messages[:opening]),
        "messages": list(_turns(job.messages[opening:])),
        "temperature": job.temperature,
        "top_p": job.top_p,
        "stop_sequences": list(job.stop or ()) or None,
        "tools": [_tool(tool) for tool in job.tools] if job.tools is not None else None,
        "tool_choice": _tool_choice(job),
        "output_config": _output_config(job),
        "thinking": _thinking(job, dialect),
        "service_tier": ask.tier.service_tier,
    }
    return {name: value for name, value in given.items() if value is not None}


def _opening(job: Job) -> int:
    """How many messages stand before the conversation proper."""
    roles = [message.role for message in job.messages]
    return next((n for n, role in enumerate(roles) if role not in _INSTRUCTIONS), len(roles))


def _settings(ask: Ask, dialect: Dialect) -> Iterator[str]:
    job, service_tier = ask.job, ask.tier.service_tier
    if job.seed is not None:
        yield "seed: the messages API has no such parameter"
    if job.temperature is not None and job.temperature > dialect.hottest:
        yield f"temperature: the vendor takes 0 to {dialect.hottest:g}, the job asks for {job.temperature:g}"
    if any(not stop.strip() for stop in job.stop or ()):
        yield "stop: the messages API takes no sequence of white space only"
    if job.reasoning_effort == "minimal":
        yield "reasoning_effort: the messages API has none, low, medium, high and xhigh, not minimal"
    if service_tier is not None and service_tier not in _SERVICE_TIERS:
        yield f"service_tier: the messages API has auto and standard_only, not {service_tier}"


def _form(job: Job) -> Iterator[str]:
    wanted = job.response_format
    if wanted is not None and wanted.type == "json_object":
        yield "response_format: the messages API has JSON by a schema only, not json_object"
    if wanted is not None and wanted.json_schema is not None and wanted.json_schema.description is not None:
        yield "response_format: the messages API has no description of a schema, other than inside it"
    for tool in job.tools or ():
        if tool.function.parameters is not None and tool.function.parameters.get("type") != "object":
            yield 'tools: the messages API takes only parameters whose schema says `"type": "object"`'


def _order(roles: list[str], dialect: Dialect) -> Iterator[str]:
    spoken = [role for role in roles if role not in _INSTRUCTIONS]
    if not spoken:
        yield "messages: the messages API needs a message of the user"
    elif spoken[0] != "user" or spoken[-1] == "assistant":
        yield "messages: in the messages API a conversation starts and ends with the user"
    for n, role in enumerate(roles):
        if role in _INSTRUCTIONS and not (dialect.instructions_midway and _between_turns(roles, n)):
            yield "messages: the vendor takes no system message at this point of a conversation"


def _between_turns(roles: list[str], n: int) -> bool:
    """Whether the user spoke before, and the assistant speaks next."""
    return n > 0 and roles[n - 1] in ("user", "tool") and roles[n + 1 : n + 2] in ([], ["assistant"])


def _contents(message: Message, dialect: Dialect) -> Iterator[str]:
    if _is_empty(message):
        yield "messages: the messages API takes no empty message and no empty text"
    for image in message.images:
        if image.detail not in (None, "auto"):
            yield f"image_url: the messages API has no detail, the job asks for {image.detail}"
        if image.inline is not None and image.inline[0] not in _MEDIA_TYPES:
            yield "image_url: the messages API takes JPEG, PNG, GIF and WebP"
    for call in message.tool_calls or ():
        if read_arguments(call.function.arguments) is None:
            yield "tool_calls: in the messages API arguments are a JSON object"
        if dialect.plain_names and not (_NAME.fullmatch(call.id) and _NAME.fullmatch(call.function.name)):
            yield "tool_calls: the vendor takes only letters, digits, _ and - in ids and names"


def _is_empty(message: Message) -> bool:
    if not message.content:
        # A tool may have nothing to say, and who calls one need not speak.
        return message.role != "tool" and message.tool_calls is None
    if message.role == "tool" and isinstance(message.content, str):
        return False
    return any(isinstance(part, TextPart) and not part.text.strip() for part in message.parts)


def _system(messages: tuple[Message, ...]) -> str | list[dict[str, object]] | None:
    if len(messages) == 1:
        return _content(messages[0])
    return [block for message in messages for block in _blocks(message)] or None


def _turns(messages: Iterable[Message]) -> Iterator[dict[str, object]]:
    """The turns of the conversation; what several tools answered is one turn of the user."""
    for answers, group in groupby(messages, key=lambda message: message.role == "tool"):
        if answers:
            yield {"role": "user", "content": [_tool_result(message) for message in group]}
        else:
            for message in group:
                role = "system" if message.role in _INSTRUCTIONS else message.role
                yield {"role": role, "content": _content(message)}


def _content(message: Message) -> str | list[dict[str, object]]:
    if isinstance(message.content, str) and message.tool_calls is None:
        return message.content
    return _blocks(message)


def _blocks(message: Message) -> list[dict[str, object]]:
    spoken = [_block(part) for part in message.parts] if message.content else []
    return [*spoken, *(_tool_use(call) for call in message.tool_calls or ())]


def _tool_use(call: ToolCall) -> dict[str, object]:
    return {
        "type": "tool_use",
        "id": call.id,
        "name": call.function.name,
        "input": read_arguments(call.function.arguments),
    }


def _block(part: TextPart | ImagePart) -> dict[str, object]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    inline = part.image_url.inline
    if inline is None:
        return {"type": "image", "source": {"type": "url", "url": part.image_url.url}}
    media_type, data = inline
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _tool_result(message: Message) -> dict[str, object]:
    result: dict[str, object] = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    return {**result, "content": _content(message)} if message.content else result


def _tool(tool: Tool) -> dict[str, object]:
    function = tool.function
    given: dict[str, object] = {
        "name": function.name,
        "description": function.description,
        # The API requires a schema; this one is its own spelling of no parameters.
        "input_schema": function.parameters if function.parameters is not None else {"type": "object"},
        "strict": function.strict,
    }
    return {name: value for name, value in given.items() if value is not None}


def _tool_choice(job: Job) -> dict[str, object] | None:
    choice = job.tool_choice
    if choice is None:
        return None
    if isinstance(choice, NamedTool):
        return {"type": "tool", "name": choice.function.name}
    return {"type": _CHOICES[choice]}


def _output_config(job: Job) -> dict[str, object] | None:
    config: dict[str, object] = {}
    if job.response_format is not None and job.response_format.json_schema is not None:
        config["format"] = {"type": "json_schema", "schema": job.response_format.json_schema.schema_}
    if job.reasoning_effort in _EFFORTS:
        config["effort"] = job.reasoning_effort
    return config or None


def _thinking(job: Job, dialect: Dialect) -> dict[str, object] | None:
    if job.reasoning_effort == "none":
        return {"type": "disabled"}
    return {"type": "adaptive"} if job.reasoning_effort in _EFFORTS and dialect.adaptive else None
