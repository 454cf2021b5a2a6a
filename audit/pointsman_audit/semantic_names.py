"""What fields of records are called once they leave the ledger.

A field has the name of the attribute that means the same in OpenTelemetry's semantic conventions for generative AI, as
of their version 1.41, the last before they moved to a repository of their own; they are not stable yet. Everything else
is `pointsman.` and our own name. Source of names and meanings: the conventions' attribute registry.

Not used, because they mean something else: `gen_ai.response.id` names a completion, and `provider_request_id` is mostly
the name of an HTTP request; `gen_ai.client.operation.duration` is a metric in seconds, and `duration_us` is one call.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple

from pointsman_routes import OutcomeKind, ProviderKind, RecordKind

from .columns import time_name
from .intake import CONTRACT
from .record_filter import ListedKind

NAMES: Final = "OpenTelemetry semantic conventions 1.41 (GenAI, in development)"
"""Whose names these are."""
PREFIX: Final = "pointsman."
TIMESTAMP: Final = "timestamp"
"""A record's own time, whatever it is called in the record."""
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
ERROR: Final = "error.type"
SEQ: Final = "pointsman.seq"
KIND: Final = "pointsman.kind"
HASH: Final = "pointsman.record_hash"
OTHER: Final = "pointsman.other"
"""What a record says that has no column: fields of a later version, and values that are not of their column's form."""


class Form(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    """True or false."""
    MOMENT = "moment"
    """In a record: microseconds since the epoch."""
    TEXTS = "texts"
    STEPS = "steps"
    """The tiers of a path, each with the reason it was left."""
    OBJECT = "object"


class Column(NamedTuple):
    """A column of an export."""

    name: str
    form: Form
    field: str | None
    """The record's field; None where it is made from several, or is the ledger's."""


class Vendor(NamedTuple):
    """Who a provider is and what is called there, in the conventions' words."""

    name: str
    operation: str


CONVENTIONAL: Final[Mapping[str, str]] = {
    "model": "gen_ai.request.model",
    "requested_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "served_model": "gen_ai.response.model",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "http_status": "http.response.status_code",
    "error_code": ERROR,
}
"""Our field and the attribute that means the same. Tokens of a cache are part of the input there as they are here, and
those of reasoning part of the output."""

_FORMS: Final[Mapping[Form, str]] = {
    Form.TEXT: (
        "job_id custom_id batch_id task_class requested_tier prompt_digest policy_digest tier provider owner model "
        "region worker outcome provider_request_id response_model response_region upstream service_tier usage_source "
        "from_tier to_tier reason state requested_model served_tier served_provider served_model served_region "
        "fallback_reason price_source response_digest error_code scope action by role previous_digest key_id "
        "public_key form source entry_id raw_digest"
    ),
    Form.INTEGER: (
        "attempt hop fence duration_us http_status input_tokens cached_input_tokens cache_write_tokens output_tokens "
        "reasoning_tokens cost_microusd attempts count"
    ),
    Form.NUMBER: "retry_after_s",
    Form.FLAG: "redriven counted downgraded mismatch rebuilt abort erased",
    Form.MOMENT: "accepted_at started_at finished_at",
    Form.TEXTS: "waits_for finish_reason",
    Form.STEPS: "path",
    Form.OBJECT: "filters",
}
FORMS: Final[Mapping[str, Form]] = {name: form for form, names in _FORMS.items() for name in names.split()}
"""What each field holds once exported; a finish reason is a list of one, as the conventions have it."""
_NOT_IN_RECORDS: Final = frozenset({"kind", "policy"})
"""The kind has a column of its own; a policy is kept beside the records, see `pointsman audit policy`."""

PROVIDER_FIELDS: Final[Mapping[RecordKind, str]] = {
    RecordKind.ATTEMPT_STARTED: "provider",
    RecordKind.ATTEMPT_FINISHED: "provider",
    RecordKind.FINAL: "served_provider",
}
"""Where a record of a call, or of a job, says who was called, or who answered: by the account's configured name."""
ANSWERED: Final = frozenset({OutcomeKind.OK.value, OutcomeKind.TRUNCATED.value})
"""Outcomes of calls that are no error: there was an answer."""

_VENDORS: Final[Mapping[str, str]] = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.GOOGLE: "gcp.gemini",
    ProviderKind.BEDROCK: "aws.bedrock",
    ProviderKind.AZURE: "azure.ai.openai",
    ProviderKind.MISTRAL: "mistral_ai",
    ProviderKind.GROQ: "groq",
    ProviderKind.DEEPSEEK: "deepseek",
    ProviderKind.XAI: "x_ai",
}
_VERTEX: Final = "gcp.vertex_ai"
_KINDS: Final = tuple(kind.value for kind in ProviderKind)


def vendor(provider: Mapping[str, Any]) -> Vendor | None:
    """Who a provider is.

    Args:
        provider: its part of a policy.

    Returns:
        The conventions' name of its kind, or ours where they have none, which they allow; None for a kind that this
        version does not know. Weakness: whoever stands behind a `base_url` of one's own goes by the kind's name.
    """
    named = provider.get("kind")
    if named not in _KINDS:
        return None
    kind = ProviderKind(named)
    if kind is ProviderKind.GOOGLE:
        return Vendor(_VENDORS[kind] if provider.get("project") is None else _VERTEX, "generate_content")
    return Vendor(_VENDORS.get(kind, kind.value), "chat")


@cache
def columns_of(kind: RecordKind) -> tuple[Column, ...]:
    """The columns of one kind of record."""
    declared = [name for name in CONTRACT[kind].model_fields if name not in _NOT_IN_RECORDS]
    time = time_name(kind)
    if time in FORMS and time not in declared:
        declared.append(time)
    found = [Column(TIMESTAMP, Form.MOMENT, time), Column(SEQ, Form.INTEGER, None), Column(KIND, Form.TEXT, "kind")]
    if kind in PROVIDER_FIELDS:
        found += [Column(OPERATION, Form.TEXT, None), Column(PROVIDER, Form.TEXT, None)]
    found += [Column(CONVENTIONAL.get(name, PREFIX + name), FORMS[name], name) for name in declared]
    if "outcome" in declared:
        found.append(Column(ERROR, Form.TEXT, None))
    return (*found, Column(HASH, Form.TEXT, None), Column(OTHER, Form.OBJECT, None))


@cache
def columns(kind: ListedKind) -> tuple[Column, ...]:
    """The columns of a file of one kind of listing: whatever its records may have, each name once."""
    found: dict[str, Column] = {}
    for column in _every(kind):
        found.setdefault(column.name, column)
    last = [found.pop(name) for name in (HASH, OTHER)]
    return (*found.values(), *last)


def _every(kind: ListedKind) -> Iterable[Column]:
    # A call's end has what its beginning has, and more.
    for record in sorted(kind.records, key=lambda one: one is not RecordKind.ATTEMPT_FINISHED):
        yield from columns_of(record)
