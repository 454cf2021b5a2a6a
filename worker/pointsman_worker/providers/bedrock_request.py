"""A job in the terms of Amazon Bedrock's Converse, and what of a job they have no words for.

Sources: the API reference of Converse, which botocore's `service-2.json` is made of, and for its unwritten rules the
messages of its ValidationException: turns alternate, no text is blank, calls of tools need the tools.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from pointsman_routes import ImagePart, Job, Message, NamedTool, TextPart, Tool

from .payload import read_arguments
from .protocol import Ask

_FORMATS: Final = {f"image/{name}": name for name in ("png", "jpeg", "gif", "webp")}
_MOST_IMAGES: Final = 20
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_SERVICE_TIERS: Final = frozenset({"default", "flex", "priority", "reserved"})
_EFFORTS: Final = frozenset({"low", "medium", "high"})
"""`xhigh` is capped at `high` unless extended thinking is enabled, which each model spells in its own way."""
_NOT_TOGETHER: Final = frozenset({("user", "user"), ("assistant", "assistant"), ("user", "tool")})
"""A message of the first role and one of the second after it. What the user says after a tool's result joins it."""
_CHOICES: Final[Mapping[object, Mapping[str, object]]] = {"auto": {"auto": {}}, "required": {"any": {}}}


def problems(ask: Ask) -> Iterator[str]:
    """What of the job Converse cannot express, as `parameter: why`."""
    job, service_tier = ask.job, ask.tier.service_tier
    yield from _parameter_problems(job)
    if service_tier is not None and service_tier not in _SERVICE_TIERS:
        yield f"service_tier: Converse has {', '.join(sorted(_SERVICE_TIERS))}, the tier asks for {service_tier}"
    yield from _order_problems(job)
    for message in job.messages:
        yield from _message_problems(message)


def converse_body(ask: Ask) -> dict[str, object]:
    """The body for a job that has no problem."""
    job = ask.job
    opening = _opening(job)
    body: dict[str, object] = {"messages": _turns(job.messages[opening:]), "inferenceConfig": _inference(ask)}
    if opening:
        body["system"] = [block for message in job.messages[:opening] for block in _texts(message)]
    if job.tools is not None:
        body["toolConfig"] = _tool_config(job, job.tools)
    if output := _output_config(job):
        body["outputConfig"] = output
    if ask.tier.service_tier is not None:
        body["serviceTier"] = {"type": ask.tier.service_tier}
    return body


def _parameter_problems(job: Job) -> Iterator[str]:
    if job.seed is not None:
        yield "seed: Converse has no such parameter"
    if job.temperature is not None and job.temperature > 1:
        yield f"temperature: Converse takes 0 to 1, the job asks for {job.temperature}"
    if any(not stop for stop in job.stop or ()):
        yield "stop: Converse takes no empty sequence"
    if job.response_format is not None and job.response_format.type == "json_object":
        yield "response_format: Converse has json_schema and no json_object"
    if job.tool_choice == "none":
        yield "tool_choice: Converse cannot give tools and forbid them"
    if job.reasoning_effort is not None and job.reasoning_effort not in _EFFORTS:
        yield f"reasoning_effort: Converse has low, medium and high, the job asks for {job.reasoning_effort}"


def _order_problems(job: Job) -> Iterator[str]:
    turns = job.messages[_opening(job) :]
    if any(turn.role in ("system", "developer") for turn in turns):
        yield "messages: Converse takes system messages at the start only"
    if not turns or turns[0].role != "user":
        yield "messages: for Converse a conversation starts with the user"
    elif turns[-1].role == "assistant":
        yield "messages: for Converse a conversation ends with the user"
    if any((before.role, after.role) in _NOT_TOGETHER for before, after in pairwise(turns)):
        yield "messages: for Converse user and assistant take turns"
    if job.tools is None and any(turn.tool_calls or turn.role == "tool" for turn in turns):
        yield "tools: Converse takes calls of tools in a conversation only with the tools"


def _message_problems(message: Message) -> Iterator[str]:
    # Beside calls of tools, and as what a tool gave, nothing may be said; then there is no text to send.
    may_be_empty = message.tool_calls is not None or message.role == "tool"
    texts = [part.text for part in _text_parts(message) if part.text or not may_be_empty]
    if not all(text.strip() for text in texts) or not (message.parts or may_be_empty):
        yield "messages: Converse takes no blank text"
    for call in message.tool_calls or ():
        if not (_CALL_ID.fullmatch(call.id) and _NAME.fullmatch(call.function.name)):
            yield "messages: the id or the name of a tool call has characters or a length Converse does not take"
        if read_arguments(call.function.arguments) is None:
            yield "messages: Converse takes the arguments of a tool call as a JSON object only"
    if message.tool_call_id is not None and not _CALL_ID.fullmatch(message.tool_call_id):
        yield "messages: the id of a tool call has characters or a length Converse does not take"
    yield from _image_problems(message)


def _image_problems(message: Message) -> Iterator[str]:
    if len(message.images) > _MOST_IMAGES:
        yield f"messages: Converse takes at most {_MOST_IMAGES} images in a message"
    for image in message.images:
        if image.inline is None:
            yield "messages: Converse fetches no image; send it as data:image/...;base64"
        elif image.inline[0] not in _FORMATS:
            yield f"messages: Converse takes PNG, JPEG, GIF and WebP, an image is {image.inline[0][:40]}"
        if image.detail not in (None, "auto"):
            yield "messages: Converse has no detail of an image"


def _opening(job: Job) -> int:
    """How many messages stand before the conversation proper."""
    roles = (message.role for message in job.messages)
    return next((n for n, role in enumerate(roles) if role not in ("system", "developer")), len(job.messages))


def _turns(messages: tuple[Message, ...]) -> list[dict[str, object]]:
    """The conversation. What a tool gave has no role of its own: it belongs to the user's turn, and opens it."""
    turns: list[tuple[str, list[dict[str, object]]]] = []
    for message in messages:
        role = "user" if message.role == "tool" else message.role
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_blocks(message))
    return [{"role": role, "content": blocks} for role, blocks in turns]


def _blocks(message: Message) -> list[dict[str, object]]:
    if message.tool_call_id is not None:
        return [{"toolResult": {"toolUseId": message.tool_call_id, "content": _texts(message)}}]
    said = [block for part in message.parts for block in _part(part)]
    return said + [
        {
            "toolUse": {
                "toolUseId": call.id,
                "name": call.function.name,
                "input": read_arguments(call.function.arguments),
            }
        }
        for call in message.tool_calls or ()
    ]


def _part(part: TextPart | ImagePart) -> Iterator[dict[str, object]]:
    if isinstance(part, TextPart):
        if part.text:
            yield {"text": part.text}
    elif part.image_url.inline is not None:
        media_type, data = part.image_url.inline
        yield {"image": {"format": _FORMATS[media_type], "source": {"bytes": data}}}


def _text_parts(message: Message) -> Iterator[TextPart]:
    return (part for part in message.parts if isinstance(part, TextPart))


def _texts(message: Message) -> list[dict[str, object]]:
    return [{"text": part.text} for part in _text_parts(message) if part.text]


def _inference(ask: Ask) -> dict[str, object]:
    job = ask.job
    given = {
        "maxTokens": ask.max_tokens,
        "temperature": job.temperature,
        "topP": job.top_p,
        "stopSequences": list(job.stop or ()) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _tool_config(job: Job, tools: tuple[Tool, ...]) -> dict[str, object]:
    choice = job.tool_choice
    config: dict[str, object] = {"tools": [{"toolSpec": _tool_spec(tool)} for tool in tools]}
    if isinstance(choice, NamedTool):
        config["toolChoice"] = {"tool": {"name": choice.function.name}}
    elif choice is not None:
        config["toolChoice"] = _CHOICES[choice]
    return config


def _tool_spec(tool: Tool) -> dict[str, object]:
    function = tool.function
    # The schema is required; this one is that of a function without parameters.
    schema = function.parameters if function.parameters is not None else {"type": "object", "properties": {}}
    spec: dict[str, object] = {"name": function.name, "inputSchema": {"json": schema}}
    if function.description:
        spec["description"] = function.description
    if function.strict is not None:
        spec["strict"] = function.strict
    return spec


def _output_config(job: Job) -> dict[str, object]:
    config: dict[str, object] = {}
    if job.response_format is not None and job.response_format.json_schema is not None:
        asked = job.response_format.json_schema
        definition = {"schema": json.dumps(asked.schema_, ensure_ascii=False), "name": asked.name}
        if asked.description is not None:
            definition["description"] = asked.description
        config["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": definition}}
    if job.reasoning_effort is not None:
        config["effort"] = job.reasoning_effort
    return config
