"""The job: one request to be answered once."""

import hashlib
import json
from typing import Annotated, Any

from pydantic import AliasChoices, Field, StringConstraints, field_validator, model_validator
from pydantic_core import from_json

from .message import Message
from .tool import NamedTool, ReasoningEffort, ResponseFormat, Tool, ToolChoice
from .wire import Wire

CustomId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ClassName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
_NAMES = {"custom_id", "metadata"}
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Job(Wire):
    """One request to be answered once, as a producer hands it in.

    What a tier cannot express makes it `unsupported` for that job; no parameter is dropped or rewritten.
    """

    custom_id: CustomId
    """The producer's own name for the job; unique within a batch."""
    task_class: ClassName = Field(alias="class", validation_alias=AliasChoices("class", "task_class"))
    """The kind of work: picks route, floor, regions and deadline."""
    messages: tuple[Message, ...] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    """Most tokens the answer may have; the class's own default when absent."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: tuple[str, ...] | None = Field(default=None, max_length=16)
    seed: int | None = None
    response_format: ResponseFormat | None = None
    """The form of the answer; absent is text."""
    tools: tuple[Tool, ...] | None = Field(default=None, min_length=1, max_length=128)
    """Functions the model may call instead of answering."""
    tool_choice: ToolChoice | None = None
    reasoning_effort: ReasoningEffort | None = None
    """How long a model thinks before it answers; the vendor's default when absent."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Carried along, never sent to a vendor."""

    @field_validator("stop", mode="before")
    @classmethod
    def _one_stop(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("messages")
    @classmethod
    def _says_something(cls, value: tuple[Message, ...]) -> tuple[Message, ...]:
        if not any(message.says_something for message in value):
            raise ValueError("every message is empty")
        return value

    @model_validator(mode="after")
    def _choice_of_tools(self) -> "Job":
        if self.tool_choice is not None:
            names = {tool.function.name for tool in self.tools or ()}
            if not names:
                raise ValueError("`tool_choice` needs `tools`")
            if isinstance(self.tool_choice, NamedTool) and self.tool_choice.function.name not in names:
                raise ValueError("`tool_choice` names a function that is not among the `tools`")
        return self

    @model_validator(mode="after")
    def _can_travel(self) -> "Job":
        try:
            texts = (text for message in self.messages for text in message.texts())
            "".join((*texts, *(self.stop or ()), str(self.seed))).encode()
            if self.metadata:
                _read_back(self.metadata)
            if self.tools is not None or self.response_format is not None:
                _read_back(self._form())
        except (TypeError, ValueError, RecursionError):
            raise ValueError(
                "cannot be written as JSON in UTF-8; look for half a surrogate pair, "
                "or for `metadata`, `tools` or a schema that is no JSON or nested too deeply"
            ) from None
        return self

    @property
    def characters(self) -> int:
        """Characters a vendor will read, tools and schema included; the base of the token estimate."""
        form = self._form()
        return sum(message.characters for message in self.messages) + (len(_encode(form)) if form else 0)

    def _form(self) -> dict[str, Any]:
        """What is asked of the form of the answer, as plain values."""
        form: dict[str, Any] = {}
        if self.tools is not None:
            form["tools"] = [tool.model_dump(exclude_none=True) for tool in self.tools]
        if self.response_format is not None:
            form["response_format"] = self.response_format.model_dump(by_alias=True, exclude_none=True)
        return form

    def asked(self) -> str:
        """What is asked, as compact JSON: class, messages and parameters, not the names the producer gave it.

        Keys stand in the order declared above and absent ones are left out, so a parameter added at the end leaves
        every older digest as it was.
        """
        return self.model_dump_json(by_alias=True, exclude_none=True, exclude=_NAMES)

    def to_wire(self, asked: str | None = None) -> str:
        """The job as compact JSON, absent parameters left out.

        Args:
            asked: from `asked()`, if it is at hand.
        """
        metadata = f',"metadata":{_encode(self.metadata)}' if self.metadata else ""
        return f'{{"custom_id":{_encode(self.custom_id)},{(asked or self.asked())[1:-1]}{metadata}}}'

    def prompt_digest(self, asked: str | None = None) -> str:
        """SHA-256 of `asked()`, as 64 hexadecimal digits."""
        return hashlib.sha256((asked or self.asked()).encode()).hexdigest()


def _read_back(value: dict[str, Any]) -> None:
    """Write a part of a job and read it as deep down as it will stand in an envelope, three levels.

    Raises:
        ValueError: a worker could not read it; readers of JSON give up some 200 levels down.
    """
    text = _encode(value)
    text.encode()
    from_json(f"[[[{text}]]]")


def salted_digest(salt: str, text: str) -> str:
    """What stands in a record for a text: SHA-256 of the salt, a line feed and the text in UTF-8, in hexadecimal.

    Short and usual texts could be found by trying, were it not for the salt. It is kept beside the text, and deleted
    with it: from then on nobody can tell what the digest was of.
    """
    return hashlib.sha256(f"{salt}\n{text}".encode("utf-8", "replace")).hexdigest()


def job_id_for(batch_id: str, custom_id: str) -> str:
    """The id of a job: the same batch and custom_id always give the same id, so resubmission is harmless."""
    # The length keeps two pairs apart that would read the same when put together.
    return hashlib.sha256(f"{len(batch_id)}:{batch_id}{custom_id}".encode()).hexdigest()[:24]
