"""Parsing a line of a job file: our own form, or a line of the OpenAI Batch API."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from pointsman_routes import Job

from .line_problem import LineProblem, join_reasons, quote, reasons_of
from .line_surplus import drop_empty, drop_parameters

_METHOD = "POST"
_URL = "/v1/chat/completions"
_ENVELOPE_KEYS = frozenset({"custom_id", "method", "url", "body"})
_NOT_IN_BODY = frozenset({"class", "task_class", "custom_id"})
_read_job = Job.model_validate_json


@dataclass(slots=True)
class _Draft:
    """A job before it is validated: its fields, how the file spells them, and what is wrong so far."""

    fields: dict[str, Any]
    places: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


class LineParser:
    """Reads jobs of the configured classes."""

    def __init__(self, classes: Collection[str], class_override: str | None = None) -> None:
        """Prepare for a file.

        Args:
            classes: the classes of the configuration; at least one.
            class_override: the class of every job, whatever its line says.
        """
        self._classes = frozenset(classes)
        self._override = class_override

    def parse(self, number: int, line: bytes) -> Job | LineProblem:
        """Read one line.

        Args:
            number: of the line, from 1.
            line: not blank; its end may be on it.
        """
        # A quotation mark inside a JSON string is escaped: these six bytes are only ever a whole string.
        if self._override is None and b'"body"' not in line:
            try:
                job = _read_job(line)
            except ValidationError:
                return self._parse_closely(number, line)
            if job.task_class in self._classes:
                return job
        return self._parse_closely(number, line)

    def _parse_closely(self, number: int, line: bytes) -> Job | LineProblem:
        """Read a line that has the other form or some mistake; slower, and able to say what is wrong."""
        try:
            raw = from_json(line)
        except ValueError as error:
            return LineProblem(number, None, _broken(line, error))
        if not isinstance(raw, dict):
            return LineProblem(number, None, "not a JSON object; write one job a line")
        draft = _batch_draft(raw) if "body" in raw else _Draft(raw)
        self._settle_class(draft)
        drop_empty(draft.fields)
        try:
            job = Job.model_validate(draft.fields)
        except ValidationError as error:
            # What is wrong with the form comes first; the job inside an odd form may lack all sorts of things.
            found = error.errors(include_url=False, include_input=False, include_context=False)
            draft.reasons += reasons_of(found, draft.places)
        else:
            if not draft.reasons:
                return job
        custom_id = raw.get("custom_id")
        return LineProblem(number, custom_id if isinstance(custom_id, str) else None, join_reasons(draft.reasons))

    def _settle_class(self, draft: _Draft) -> None:
        """Put a known class into the draft, so that what else is wrong is found too."""
        fields = draft.fields
        if "class" not in fields and "task_class" in fields:
            fields["class"] = fields.pop("task_class")
        given = fields.get("class")
        place = quote(draft.places.get("class", "class"))
        fields["class"] = self._override or min(self._classes)
        if self._override is not None:
            return
        if given is None:
            draft.reasons.append(f"{place} is missing; name a task class, or give one for the whole file with --class")
        elif not isinstance(given, str):
            draft.reasons.append(f"{place} must be a text, the name of a task class")
        elif given not in self._classes:
            known = ", ".join(sorted(self._classes))
            draft.reasons.append(f"unknown class {quote(given)} in {place}; the configuration has: {known}")
        else:
            fields["class"] = given


def _batch_draft(raw: dict[str, Any]) -> _Draft:
    """Take the job out of an OpenAI Batch line."""
    draft = _Draft({})
    draft.reasons += [
        f"unknown key {quote(key)}; remove it or correct its spelling" for key in raw if key not in _ENVELOPE_KEYS
    ]
    for key, only in (("method", _METHOD), ("url", _URL)):
        if raw.get(key) != only:
            draft.reasons.append(f'{quote(key)} must be "{only}"')
    body = raw["body"]
    if not isinstance(body, dict):
        draft.reasons.append('"body" must be an object with "model" and "messages"')
        body = {}
    # Job's own spelling of the class is not the batch form's: a stray "class" is refused as unknown.
    fields = {f"body.{key}" if key in _NOT_IN_BODY else key: value for key, value in body.items()}
    draft.places.update({name: f"body.{name}" for name in fields if not name.startswith("body.")})
    draft.places.update({"messages": "body.messages", "class": "body.model"})
    fields["class"] = fields.pop("model", None)
    if "custom_id" in raw:
        fields["custom_id"] = raw["custom_id"]
    draft.fields = fields
    _take_limit(draft)
    draft.reasons += drop_parameters(fields)
    return draft


def _take_limit(draft: _Draft) -> None:
    """The API has an old and a new name for one thing."""
    if "max_completion_tokens" not in draft.fields:
        return
    limit = draft.fields.pop("max_completion_tokens")
    old = draft.fields.get("max_tokens")
    if old is not None and limit is not None and old != limit:
        draft.reasons.append('"body.max_tokens" and "body.max_completion_tokens" differ; remove one of the two')
    if limit is not None:
        draft.fields["max_tokens"] = limit
        draft.places["max_tokens"] = "body.max_completion_tokens"


def _broken(line: bytes, error: ValueError) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as broken:
        return f"not valid UTF-8 at byte {broken.start + 1}; save the file as UTF-8"
    return f"not valid JSON: {str(error).replace('at line 1 column', 'at column')}; write one JSON object a line"
