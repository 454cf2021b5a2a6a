"""A message: one turn of the conversation, in the spelling of the chat completions API."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticKnownError

from .wire import Wire

Role = Literal["system", "developer", "user", "assistant", "tool"]
_IMAGE_CHARACTERS = 6400
"""What an image stands for in the estimate: about 1,600 tokens, the most Anthropic's guide to vision names for an image
of its largest ordinary size; OpenAI's and Google's tiles come to less for most."""


class TextPart(Wire):
    """A piece of a message's content."""

    type: Literal["text"]
    text: str


class ImageUrl(Wire):
    """Where an image is."""

    url: str = Field(pattern=r"^(https?://\S+|data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+)$")
    """`https://...`, which the vendor fetches, or `data:image/png;base64,...`, which holds it."""
    detail: Literal["auto", "low", "high"] | None = None
    """How closely the model looks, where the vendor lets that be said."""

    @property
    def inline(self) -> tuple[str, str] | None:
        """The media type and the base64 data, if the URL holds the image itself."""
        if not self.url.startswith("data:"):
            return None
        media_type, _, data = self.url.removeprefix("data:").partition(";base64,")
        return media_type, data


class ImagePart(Wire):
    """An image in a message's content."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class CalledFunction(Wire):
    """The function a model called."""

    name: str = Field(min_length=1)
    arguments: str
    """As the model wrote them: usually a JSON object."""


class ToolCall(Wire):
    """A call of a tool by the model."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction


class Message(Wire):
    """One turn of the conversation."""

    role: Role
    tool_calls: tuple[ToolCall, ...] | None = Field(default=None, min_length=1)
    """Of an assistant message: the tools it called."""
    tool_call_id: str | None = None
    """Of a tool message: the call it answers."""
    content: str | tuple[Part, ...] | None = Field(default=None, validate_default=True)
    """May be absent only beside `tool_calls`."""

    @field_validator("content")
    @classmethod
    def _is_there(cls, value: object, info: ValidationInfo) -> object:
        # tool_calls stands before content, so it is known here, if it was right.
        if value is None and info.data.get("tool_calls", ()) is None:
            raise PydanticKnownError("missing")
        return value

    @model_validator(mode="after")
    def _belongs_together(self) -> "Message":
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError("only an assistant message has `tool_calls`")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("`tool_call_id` belongs to a message of role tool, and only there")
        if self.images and self.role != "user":
            raise ValueError("an image stands in a message of the user")
        return self

    @property
    def parts(self) -> tuple[TextPart | ImagePart, ...]:
        """The content in pieces."""
        if self.content is None:
            return ()
        return (TextPart(type="text", text=self.content),) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """The texts of the content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or () if isinstance(part, TextPart))

    @property
    def images(self) -> tuple[ImageUrl, ...]:
        """The images of the content."""
        if self.content is None or isinstance(self.content, str):
            return ()
        return tuple(part.image_url for part in self.content if isinstance(part, ImagePart))

    @property
    def says_something(self) -> bool:
        """Whether there is anything for a model to read."""
        return bool(self.text.strip() or self.images or self.tool_calls)

    @property
    def characters(self) -> int:
        """Characters a vendor will read, with a fixed number for an image."""
        if isinstance(self.content, str) and self.tool_calls is None:
            return len(self.content)
        calls = sum(len(call.function.name) + len(call.function.arguments) for call in self.tool_calls or ())
        return len(self.text) + _IMAGE_CHARACTERS * len(self.images) + calls

    def texts(self) -> Iterator[str]:
        """Everything in it that somebody wrote."""
        yield self.text
        for call in self.tool_calls or ():
            yield from (call.id, call.function.name, call.function.arguments)
        if self.tool_call_id is not None:
            yield self.tool_call_id
