"""A job as Google's generateContent has it, or why it cannot.

Sources: ai.google.dev, API reference (generating content) and guides to thinking, function calling, structured outputs;
docs.cloud.google.com, Vertex AI inference reference; and the request types of google-genai 3.6.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from pointsman_routes import Job, NamedTool, Tool

from .google_turns import INSTRUCTIONS, contents_of, generation_of, instructions_of, turn_problems
from .protocol import Ask

_MOST_STOPS: Final = 5
_SEEDS: Final = range(-(2**31), 2**31)
_BUDGETS: Final[Mapping[str, int]] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Effort -> tokens to think in, for Gemini 2.5: the table of Google's own chat completions (OpenAI compatibility)."""


def problems(ask: Ask) -> Iterator[str]:
    """What generateContent cannot express of a job, as `parameter: why`."""
    yield from _settings(ask)
    opening = _opening(ask.job)
    yield from turn_problems(ask.job.messages[:opening], ask.job.messages[opening:])
    wanted = ask.job.response_format
    if wanted is not None and wanted.json_schema is not None and wanted.json_schema.description is not None:
        yield "response_format: Google has no description of a schema, other than inside it"


def body_of(ask: Ask, *, vertex: bool) -> dict[str, object]:
    """The request for a job without problems.

    Vertex AI's v1 has no ids of calls (Google.Cloud.AIPlatform.V1.FunctionCall), and takes the class of service in a
    header. The name of a JSON Schema has no place in either, being a label to whoever wrote it, and neither has its
    `strict`: an answer always follows the schema.
    """
    job, opening = ask.job, _opening(ask.job)
    given: dict[str, object] = {
        "systemInstruction": instructions_of(job.messages[:opening]),
        "contents": list(contents_of(job.messages[opening:], ask.tier.model, with_ids=not vertex)),
        "tools": [{"functionDeclarations": [_declaration(tool) for tool in job.tools]}] if job.tools else None,
        "toolConfig": _tool_config(job),
        "generationConfig": _config(ask),
        "serviceTier": None if vertex else ask.tier.service_tier,
    }
    return {name: value for name, value in given.items() if value is not None}


def _opening(job: Job) -> int:
    """How many messages stand before the conversation proper."""
    roles = [message.role for message in job.messages]
    return next((n for n, role in enumerate(roles) if role not in INSTRUCTIONS), len(roles))


def _settings(ask: Ask) -> Iterator[str]:
    job = ask.job
    stops = job.stop or ()
    if len(stops) > _MOST_STOPS:
        yield f"stop: Google takes at most {_MOST_STOPS} sequences, the job has {len(stops)}"
    if not all(stops):
        yield "stop: Google takes no empty sequence"
    if job.seed is not None and job.seed not in _SEEDS:
        yield "seed: Google takes an integer of 32 bits"
    if job.reasoning_effort is not None and isinstance(thinking := _thinking(job.reasoning_effort, ask), str):
        yield f"reasoning_effort: {thinking}"


def _thinking(effort: str, ask: Ask) -> dict[str, object] | str:
    """How long to think, or why that cannot be said.

    From Gemini 3 on there are levels under the same names as efforts; a model that lacks one of them refuses. Of 2.5
    only Pro cannot stop thinking.
    """
    model = ask.tier.model
    generation = generation_of(model)
    if generation is None:
        return f"what {model} takes is not known, a level or a budget; name the generation of the model"
    if generation >= (3, 0):
        return {"thinkingLevel": effort.upper()} if effort != "none" else f"{model} cannot stop thinking"
    if generation < (2, 5):
        return f"{model} does not think"
    if effort not in _BUDGETS:
        return f"Google names no budget of {model} for {effort}"
    if effort == "none" and "-pro" in model:
        return f"{model} cannot stop thinking"
    return {"thinkingBudget": _BUDGETS[effort]}


def _declaration(tool: Tool) -> dict[str, object]:
    function = tool.function
    given = {
        "name": function.name,
        "description": function.description,
        "parametersJsonSchema": function.parameters,
    }
    return {name: value for name, value in given.items() if value is not None}


def _tool_config(job: Job) -> dict[str, object] | None:
    """Whether to call tools, and which.

    Where arguments must follow their schema, AUTO becomes VALIDATED, which promises that for every function; so does
    ANY.
    """
    choice = job.tool_choice
    if isinstance(choice, NamedTool):
        calling: dict[str, object] = {"mode": "ANY", "allowedFunctionNames": [choice.function.name]}
    elif choice in ("none", "required"):
        calling = {"mode": "NONE" if choice == "none" else "ANY"}
    elif any(tool.function.strict for tool in job.tools or ()):
        calling = {"mode": "VALIDATED"}
    elif choice == "auto":
        calling = {"mode": "AUTO"}
    else:
        return None
    return {"functionCallingConfig": calling}


def _config(ask: Ask) -> dict[str, object]:
    job = ask.job
    wanted = job.response_format
    given: dict[str, object] = {
        "maxOutputTokens": ask.max_tokens,
        "temperature": job.temperature,
        "topP": job.top_p,
        "stopSequences": list(job.stop or ()) or None,
        "seed": job.seed,
        "responseMimeType": "application/json" if wanted is not None and wanted.wants_json else None,
        "responseJsonSchema": wanted.json_schema.schema_ if wanted is not None and wanted.json_schema else None,
        "thinkingConfig": _thinking(job.reasoning_effort, ask) if job.reasoning_effort is not None else None,
    }
    return {name: value for name, value in given.items() if value is not None}
