"""What Ollama's chat API is sent for a job, and what of a job it cannot express.

Sources: ollama/ollama: `ChatRequest`, `Message`, `Tool`, `Options` in api/types.go, `ChatHandler` in server/routes.go,
server/prompt.go, llm/llama_server.go; and docs.ollama.com, thinking.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pointsman_routes import Job, Message, Tool

from .payload import read_arguments
from .protocol import Ask

_LARGEST_SEED: Final = 2**32 - 2
"""llama.cpp keeps it in 32 bits, of which the largest value means a random one."""
_LEVELS: Final = frozenset({"low", "medium", "high"})
_LEVELLED: Final = re.compile(r"(?:.*/)?gpt-oss(?![a-z])", re.IGNORECASE)
"""The one family whose thinking has levels; it cannot be turned off."""
_INTERRUPTED: Final = re.compile("ti+t")

_OF_PARAMETERS: Final = frozenset({"type", "$defs", "items", "required", "properties"})
_OF_PROPERTY: Final = frozenset({"anyOf", "type", "items", "description", "enum", "properties", "required"})
"""What the server keeps of a tool's schema and shows the model; of `items` and `$defs` it keeps everything."""
_SAYS_NOTHING: Final = frozenset({"$schema", "$id", "title"})
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


def problems(ask: Ask) -> Iterator[str]:
    """What of the job cannot be expressed, as `parameter: why`."""
    for message in ask.job.messages:
        yield from _turn_problems(message)
    if ask.job.messages[-1].role == "assistant":
        yield "messages: Ollama reads a last turn of the assistant as the opening of its own answer"
    yield from _sampling_problems(ask)
    yield from _tool_problems(ask.job)
    yield from _format_problems(ask.job)


def body_of(ask: Ask) -> dict[str, object]:
    """The request. Call it only for a job without problems."""
    job = ask.job
    names = {call.id: call.function.name for message in job.messages for call in message.tool_calls or ()}
    options: dict[str, object] = {
        "num_ctx": ask.tier.context_window,
        "num_predict": ask.max_tokens,
        "temperature": job.temperature,
        "top_p": job.top_p,
        "stop": list(job.stop) if job.stop else None,
        "seed": job.seed,
    }
    body: dict[str, object] = {
        "model": ask.tier.model,
        "messages": [_turn(message, names) for message in job.messages],
        "stream": False,
        # Otherwise a prompt too long loses its beginning, and an answer too long loses it while it is written.
        "truncate": False,
        "shift": False,
        "options": {name: value for name, value in options.items() if value is not None},
    }
    parameters: dict[str, object] = {
        "format": _format(job),
        "tools": [_tool(tool) for tool in job.tools] if job.tools else None,
        "think": False if job.reasoning_effort == "none" else job.reasoning_effort,
    }
    return body | {name: value for name, value in parameters.items() if value is not None}


def _turn_problems(message: Message) -> Iterator[str]:
    images = message.images
    if any(image.inline is None for image in images):
        yield "messages: Ollama fetches no image; it must be in the message itself"
    if any(image.detail in ("low", "high") for image in images):
        yield "detail: Ollama has no such parameter of an image"
    if images and _INTERRUPTED.search("".join(part.type[0] for part in message.parts)):
        yield "messages: Ollama has the images of a message before its text, not in the midst of it"
    if images and "[img]" in message.text:
        yield "messages: Ollama puts an image where the text says [img]"
    if any(read_arguments(call.function.arguments) is None for call in message.tool_calls or ()):
        yield "tool_calls: Ollama takes arguments that are a JSON object only"


def _sampling_problems(ask: Ask) -> Iterator[str]:
    seed, effort = ask.job.seed, ask.job.reasoning_effort
    if seed is not None and not 0 <= seed <= _LARGEST_SEED:
        yield f"seed: Ollama takes 0 to {_LARGEST_SEED}"
    if ask.tier.service_tier is not None:
        yield "service_tier: Ollama has no such parameter"
    has_levels = _LEVELLED.match(ask.tier.model) is not None
    if effort == "none" and has_levels:
        yield f"reasoning_effort: {ask.tier.model} always thinks"
    if effort not in (None, "none") and not (has_levels and effort in _LEVELS):
        yield f"reasoning_effort: {ask.tier.model} at Ollama has no level {effort}"


def _tool_problems(job: Job) -> Iterator[str]:
    if job.tool_choice not in (None, "auto"):
        yield "tool_choice: Ollama always lets the model choose"
    if any(tool.function.strict for tool in job.tools or ()):
        yield "strict: Ollama holds no call to the schema of its tool"
    lost = sorted({word for tool in job.tools or () for word in _lost(tool.function.parameters or {})})
    if lost:
        named = ", ".join(word[:40] for word in lost[:5])
        yield f"tools: Ollama drops {named} from a tool's parameters"


def _lost(parameters: Mapping[str, object]) -> Iterator[str]:
    """The words of a schema that the server would not show the model."""
    if parameters.get("type", "object") != "object":
        yield "type"
    schemas: list[tuple[object, frozenset[str]]] = [(parameters, _OF_PARAMETERS)]
    while schemas:
        schema, kept = schemas.pop()
        if not isinstance(schema, dict):
            yield "a schema that is no object"
            continue
        for word, value in schema.items():
            if word in kept:
                schemas += [(inner, _OF_PROPERTY) for inner in _within(word, value)]
            elif word not in _SAYS_NOTHING and not (word == "additionalProperties" and isinstance(value, bool)):
                yield str(word)


def _within(word: str, value: object) -> list[object]:
    if word == "properties" and isinstance(value, dict):
        return list(value.values())
    return value if word == "anyOf" and isinstance(value, list) else []


def _format_problems(job: Job) -> Iterator[str]:
    form = job.response_format
    if form is None or not form.wants_json:
        return
    if job.tools:
        yield "response_format: Ollama holds the whole answer to it, so that no tool could be called"
    if form.json_schema is not None and form.json_schema.description is not None:
        yield "response_format: Ollama has no place for a description"


def _turn(message: Message, names: Mapping[str, str]) -> dict[str, object]:
    turn: dict[str, object] = {
        "role": "system" if message.role == "developer" else message.role,
        "content": message.text,
    }
    images = [image.inline[1] for image in message.images if image.inline is not None]
    if images:
        turn["images"] = images
    if message.tool_calls is not None:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "function": {"name": call.function.name, "arguments": read_arguments(call.function.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        turn["tool_call_id"] = message.tool_call_id
        # Older servers know the name only.
        if message.tool_call_id in names:
            turn["tool_name"] = names[message.tool_call_id]
    return turn


def _tool(tool: Tool) -> dict[str, object]:
    function = tool.function.model_dump(exclude_none=True, exclude={"strict"})
    return {"type": "function", "function": {"parameters": _NO_PARAMETERS, **function}}


def _format(job: Job) -> object:
    if job.response_format is None or not job.response_format.wants_json:
        return None
    schema = job.response_format.json_schema
    return schema.schema_ if schema is not None else "json"
