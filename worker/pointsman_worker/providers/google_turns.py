"""The turns of a conversation as Google's generateContent has them, or why it cannot.

Sources: ai.google.dev, guides to thought signatures, function calling and file input methods; docs.cloud.google.com,
Vertex AI inference reference; and the request types of google-genai 3.6.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final
from urllib.parse import urlsplit

from pointsman_routes import ImagePart, ImageUrl, Message, TextPart, ToolCall

from .payload import read_arguments

INSTRUCTIONS: Final = frozenset({"system", "developer"})
_GENERATION: Final = re.compile(r"gemini-(\d{1,3})(?:\.(\d{1,3}))?(?:-|$)")
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic",
    "heif": "image/heif", "bmp": "image/bmp",
}  # fmt: skip
_UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google's guide to thought signatures (FAQ) has in the place of a signature for calls that come without one, such
as those of another vendor's model. Its other spelling, Vertex AI refuses (pydantic-ai, issue 3881)."""


def generation_of(model: str) -> tuple[int, int] | None:
    """The generation a model's name states: 2.5 is (2, 5). An alias such as `gemini-flash-latest` states none."""
    found = _GENERATION.match(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def turn_problems(opening: Iterable[Message], turns: tuple[Message, ...]) -> Iterator[str]:
    """What cannot be expressed of the instructions before a conversation, and of its turns, as `parameter: why`."""
    if not turns:
        yield "messages: Google needs a message of the user"
    elif turns[0].role != "user" or turns[-1].role == "assistant":
        yield "messages: for Google a conversation starts with the user, and does not end with the assistant"
    if any(turn.role in INSTRUCTIONS for turn in turns):
        yield "messages: Google has no system message in the middle of a conversation"
    called: set[str] = set()
    for turn in turns:
        called.update(call.id for call in turn.tool_calls or ())
        if turn.tool_call_id is not None and turn.tool_call_id not in called:
            yield "tool_call_id: Google wants the name of the function that was called, and no message calls it"
    for message in (*opening, *turns):
        yield from _contents(message)


def _contents(message: Message) -> Iterator[str]:
    if message.role != "tool" and message.tool_calls is None and not message.parts:
        yield "messages: Google takes no empty message"
    if any(isinstance(part, TextPart) and not part.text for part in _said(message)):
        yield "messages: Google takes no empty text"
    for image in message.images:
        if image.detail not in (None, "auto"):
            yield f"image_url: Google has no detail, the job asks for {image.detail}"
        if image.inline is None and _fetched(image) is None:
            yield "image_url: Google fetches https only, and wants the type of an image, which its name does not tell"
    for call in message.tool_calls or ():
        if read_arguments(call.function.arguments) is None:
            yield "tool_calls: for Google, arguments are a JSON object"


def _said(message: Message) -> tuple[TextPart | ImagePart, ...]:
    """The parts of a turn that is no tool's; beside calls of tools an empty text says nothing and is none."""
    if message.role == "tool" or (message.tool_calls is not None and not message.content):
        return ()
    return message.parts


def instructions_of(messages: Iterable[Message]) -> dict[str, object] | None:
    """The system instruction: the messages before the conversation, a part for each piece of text."""
    parts = [_part(part) for message in messages for part in message.parts]
    return {"parts": parts} if parts else None


def contents_of(messages: Iterable[Message], model: str, *, with_ids: bool) -> Iterator[dict[str, object]]:
    """The turns of the conversation; what several tools answered is one turn, in the order they were called.

    Where calls have no ids, that order is all that tells two calls of one function apart.

    Args:
        messages: without problems.
        model: what Google calls it.
        with_ids: whether calls and what answers them have ids.
    """
    names: dict[str, str] = {}
    for answers, group in groupby(messages, key=lambda message: message.role == "tool"):
        if answers:
            order = {call_id: n for n, call_id in enumerate(names)}
            results = sorted(group, key=lambda message: order[message.tool_call_id or ""])
            yield {"role": "user", "parts": [_result(message, names, with_ids=with_ids) for message in results]}
            continue
        for message in group:
            for call in message.tool_calls or ():
                # Should an id come twice, the later call is the one that is answered.
                names.pop(call.id, None)
                names[call.id] = call.function.name
            parts = [_part(part) for part in _said(message)]
            parts += _calls(message.tool_calls or (), model, with_ids=with_ids)
            yield {"role": "model" if message.role == "assistant" else "user", "parts": parts}


def _calls(calls: tuple[ToolCall, ...], model: str, *, with_ids: bool) -> list[dict[str, object]]:
    """The calls of one turn.

    From Gemini 3 on the first of them must be signed, or the request is refused. Our messages, being those of the chat
    completions API, carry no signature; an alias may stand for such a model, and older ones do not mind.
    """
    parts: list[dict[str, object]] = [
        {
            "functionCall": {
                **({"id": call.id} if with_ids else {}),
                "name": call.function.name,
                "args": read_arguments(call.function.arguments),
            }
        }
        for call in calls
    ]
    if parts and (generation_of(model) or (3, 0)) >= (3, 0):
        parts[0]["thoughtSignature"] = _UNSIGNED
    return parts


def _result(message: Message, names: Mapping[str, str], *, with_ids: bool) -> dict[str, object]:
    call_id = message.tool_call_id or ""
    given_id = {"id": call_id} if with_ids else {}
    return {"functionResponse": {**given_id, "name": names[call_id], "response": {"output": message.text}}}


def _part(part: TextPart | ImagePart) -> dict[str, object]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    inline = part.image_url.inline
    if inline is not None:
        return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
    return {"fileData": {"mimeType": _fetched(part.image_url), "fileUri": part.image_url.url}}


def _fetched(image: ImageUrl) -> str | None:
    """The media type of an image that Google is to fetch; None if it cannot, or if the name does not tell."""
    try:
        address = urlsplit(image.url)
    except ValueError:
        return None
    return _MEDIA_TYPES.get(address.path.rpartition(".")[2].lower()) if address.scheme == "https" else None
