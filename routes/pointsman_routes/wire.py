"""The base of everything that crosses a process boundary."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A frozen value that refuses unknown keys.

    A change is a new value (`model_copy(update=...)`); a key nobody declared is an error, so a typing
    mistake in a job file or in the configuration is never silently ignored.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_alias=True,
        validate_by_name=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
