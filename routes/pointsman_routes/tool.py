"""What a job asks of the form of its answer: tools the model may call, and the format of what it says."""

from typing import Any, Literal

from pydantic import Field, model_validator

from .wire import Wire

_NAME = r"^[A-Za-z0-9_-]{1,64}$"


class Function(Wire):
    """A function the model may call."""

    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON Schema of an object; absent for a function without parameters."""
    strict: bool | None = None
    """Whether arguments must follow the schema exactly."""


class Tool(Wire):
    """A tool the model may call."""

    type: Literal["function"]
    function: Function


class NamedFunction(Wire):
    """The name of a function."""

    name: str = Field(pattern=_NAME)


class NamedTool(Wire):
    """The one tool that must be called."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool
"""`auto` lets the model choose, `required` makes it call some tool, `none` forbids it."""

ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
"""How long a model thinks before it answers."""


class JsonSchema(Wire):
    """The schema an answer must follow."""

    name: str = Field(pattern=_NAME)
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    """A JSON Schema."""
    strict: bool | None = None
    """Whether the answer must follow it exactly."""


class ResponseFormat(Wire):
    """The form of the answer: text, any JSON object, or JSON by a schema."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_when_asked(self) -> "ResponseFormat":
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise ValueError('`json_schema` belongs to type "json_schema", and only there')
        return self

    @property
    def wants_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.type != "text"
