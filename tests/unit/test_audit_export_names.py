"""What fields are called on export: names of the conventions that exist and mean the same, and no field forgotten."""

import ast
import json
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from audit_records import NOON, accepted, final, finished, held, moved, started, switched
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes, http_attributes

from pointsman_audit import GENESIS, Head, ListedKind, draft_of, link
from pointsman_audit.columns import time_name
from pointsman_audit.exported_row import Row, read_vendors, row_of
from pointsman_audit.intake import CONTRACT
from pointsman_audit.moment import LATEST
from pointsman_audit.record_pages import Stored
from pointsman_audit.semantic_names import (
    CONVENTIONAL,
    FORMS,
    OTHER,
    PROVIDER_FIELDS,
    TIMESTAMP,
    Form,
    columns,
    columns_of,
    vendor,
)
from pointsman_routes import OutcomeKind, PathStep, ProviderKind, Reason, Record, RecordKind

EVERY = pytest.mark.parametrize("kind", list(RecordKind))
VENDORS = {
    "openai": ("openai", "chat"),
    "anthropic": ("anthropic", "chat"),
    "google": ("gcp.gemini", "generate_content"),
    "ollama": ("ollama", "chat"),
    "bedrock": ("aws.bedrock", "chat"),
    "openrouter": ("openrouter", "chat"),
    "azure": ("azure.ai.openai", "chat"),
    "mistral": ("mistral_ai", "chat"),
    "groq": ("groq", "chat"),
    "openai-compatible": ("openai-compatible", "chat"),
    "anthropic-compatible": ("anthropic-compatible", "chat"),
    "deepseek": ("deepseek", "chat"),
    "xai": ("x_ai", "chat"),
    "cerebras": ("cerebras", "chat"),
    "moonshot": ("moonshot", "chat"),
    "together": ("together", "chat"),
    "fireworks": ("fireworks", "chat"),
    "vllm": ("vllm", "chat"),
}
"""Written out once more, by hand."""
NOT_WELL_KNOWN = {
    "ollama", "openrouter", "openai-compatible", "anthropic-compatible", "cerebras", "moonshot", "together",
    "fireworks", "vllm",
}  # fmt: skip
SAMPLES: dict[str, Record] = {
    "accepted": accepted("j1"),
    "attempt_started": started("j1"),
    "attempt_finished": finished("j1", finish_reason="stop", retry_after_s=1.5, cached_input_tokens=3),
    "moved": moved("j1"),
    "held": held("j1"),
    "final": final("j1", fallback_reason=Reason.TRANSIENT),
    "switch": switched(abort=True),
}


def attributes(module: ModuleType) -> dict[str, str]:
    """The attributes of a part of the conventions, each with what is said of it."""
    assert module.__file__ is not None
    body = ast.parse(Path(module.__file__).read_text()).body
    return {
        node.value.value: said.value.value
        for node, said in pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and isinstance(said, ast.Expr)
        and isinstance(said.value, ast.Constant)
        and isinstance(said.value.value, str)
    }


def foreign() -> set[str]:
    """Every name of an export that is not ours."""
    names = {column.name for kind in ListedKind for column in columns(kind)}
    return {name for name in names if not name.startswith("pointsman.")} - {TIMESTAMP}


def test_names_are_the_conventions() -> None:
    """Whatever is not ours is an attribute of the conventions, and none that they have replaced or removed."""
    known = {**attributes(gen_ai_attributes), **attributes(http_attributes), **attributes(error_attributes)}
    assert foreign() - set(known) == set()
    assert [name for name in foreign() if "Replaced" in known[name] or "Removed" in known[name]] == []
    # The same look finds one that was replaced.
    assert "Replaced" in known["gen_ai.system"]


def test_names_used() -> None:
    """These attributes are used, no more and no fewer: another one is looked up in the conventions first."""
    assert foreign() == {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "http.response.status_code",
    }


def field_of(kind: RecordKind) -> dict[str, Any]:
    """The contract's fields of a kind with their annotations, and its own time."""
    declared: dict[str, Any] = {name: field.annotation for name, field in CONTRACT[kind].model_fields.items()}
    declared.pop("kind")
    declared.pop("policy", None)
    return {time_name(kind): int, **declared}


@EVERY
def test_no_field_is_forgotten(kind: RecordKind) -> None:
    """Every field of the contract has a column in the export of its kind, under the one name of its meaning."""
    named = {column.field: column.name for column in columns_of(kind) if column.name != TIMESTAMP}
    for field in field_of(kind):
        if field != "at":
            assert named[field] == CONVENTIONAL.get(field, f"pointsman.{field}")
    assert {"pointsman.seq", "pointsman.kind", "pointsman.record_hash", TIMESTAMP} <= {c.name for c in columns_of(kind)}


def test_no_name_without_a_field() -> None:
    """Every entry of the tables is for a field of the contract."""
    fields = {field for kind in RecordKind for field in field_of(kind)} - {"at"}
    assert set(FORMS) == fields
    assert set(CONVENTIONAL) <= fields
    assert all(field in field_of(kind) for kind, field in PROVIDER_FIELDS.items())


@EVERY
def test_forms_are_the_contracts(kind: RecordKind) -> None:
    """What a column holds is what the contract says the field holds."""
    for field, annotation in field_of(kind).items():
        if field != "at":
            assert FORMS[field] is form_of(field, annotation), field


def form_of(field: str, annotation: Any) -> Form:
    """The form of a field by its annotation."""
    if field == "finish_reason":
        return Form.TEXTS
    kinds = {member for member in (get_args(annotation) or (annotation,)) if member is not type(None)}
    if annotation == tuple[str, ...]:
        return Form.TEXTS
    if annotation == tuple[PathStep, ...]:
        return Form.STEPS
    if annotation == dict[str, str]:
        return Form.OBJECT
    if kinds == {int}:
        return Form.MOMENT if field.endswith("_at") else Form.INTEGER
    if kinds == {float}:
        return Form.NUMBER
    if kinds == {bool} or get_args(next(iter(kinds))) == (True,):
        return Form.FLAG
    assert all(isinstance(one, str) or issubclass(one, str) or get_args(one) for one in kinds), annotation
    return Form.TEXT


@pytest.mark.parametrize("kind", list(ListedKind))
def test_each_name_once(kind: ListedKind) -> None:
    """A file has no two columns of a name, and a name has one form whatever the record."""
    names = [column.name for column in columns(kind)]
    assert len(names) == len(set(names))
    forms = {column.name: column.form for column in columns(kind)}
    for record in kind.records:
        own = [column.name for column in columns_of(record)]
        assert len(own) == len(set(own))
        assert {column.name: column.form for column in columns_of(record)}.items() <= forms.items()
    assert names[:3] == [TIMESTAMP, "pointsman.seq", "pointsman.kind"]
    assert names[-2:] == ["pointsman.record_hash", "pointsman.other"]


@pytest.mark.parametrize("kind", list(ProviderKind))
def test_vendors(kind: ProviderKind) -> None:
    """Each kind of provider has the conventions' well-known name where there is one, and its own name otherwise."""
    assert vendor({"kind": kind.value, "project": None}) == VENDORS[kind.value]
    well_known = {member.value for member in gen_ai_attributes.GenAiProviderNameValues}
    operations = {member.value for member in gen_ai_attributes.GenAiOperationNameValues}
    name, operation = VENDORS[kind.value]
    assert (name in well_known) is (kind.value not in NOT_WELL_KNOWN)
    assert operation in operations


def test_vertex() -> None:
    """A Google account with a project is Vertex AI."""
    assert vendor({"kind": "google", "project": "p1"}) == ("gcp.vertex_ai", "generate_content")


@pytest.mark.parametrize("kind", [None, "quantum", 7, ["openai"]])
def test_unknown_kind_is_nobody(kind: object) -> None:
    """A kind that this version does not know is no vendor."""
    assert vendor({"kind": kind}) is None


@pytest.mark.parametrize("policy", ["", "{}", "[]", "3", '{"providers":[]}', '{"providers":{"openai":1}}', "{"])
def test_unreadable_policy_names_nobody(policy: str) -> None:
    """A policy's text that is no policy names nobody."""
    assert read_vendors(policy) == {}


POLICY = json.dumps({"providers": {"main": {"kind": "openai"}, "other": {"kind": "anthropic"}, "new": {"kind": "?"}}})
BOOK = {"p" * 64: read_vendors(POLICY)}


def exported(record: Record) -> Row:
    """A record as a row."""
    body = draft_of(record, NOON).body
    added = link(Head(6, GENESIS), body)
    return row_of(Stored(added.seq, added.hash, added.text), json.loads(added.text), BOOK)


@pytest.mark.parametrize(
    ("provider", "digest", "named"),
    [
        ("main", "p" * 64, ("openai", "chat")),
        ("other", "p" * 64, ("anthropic", "chat")),
        ("new", "p" * 64, (None, None)),
        ("openai", "p" * 64, (None, None)),
        ("main", "q" * 64, (None, None)),
        (None, "p" * 64, (None, None)),
    ],
)
def test_vendor_is_the_policys(provider: str | None, digest: str, named: tuple[str | None, str | None]) -> None:
    """The vendor is what the policy of the record says of the account; a name alone is never taken for one."""
    row = exported(final("j1", served_provider=provider, policy_digest=digest))
    assert (row["gen_ai.provider.name"], row["gen_ai.operation.name"]) == named
    assert row["pointsman.served_provider"] == provider
    if provider is not None:
        row = exported(finished("j1", provider=provider, policy_digest=digest))
        assert (row["gen_ai.provider.name"], row["gen_ai.operation.name"]) == named
        assert row["pointsman.provider"] == provider


def test_a_call_under_the_conventions_names() -> None:
    """What a call was, asked for, answered with and used stands under the attribute that means it."""
    row = exported(
        finished(
            "j1", model="asked", response_model="answered", http_status=299, input_tokens=1, cached_input_tokens=2,
            cache_write_tokens=3, output_tokens=4, reasoning_tokens=5, provider="main", policy_digest="p" * 64,
        )
    )  # fmt: skip
    assert {name: value for name, value in row.items() if not name.startswith("pointsman.")} == {
        "timestamp": NOON,
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "asked",
        "gen_ai.response.model": "answered",
        "gen_ai.response.finish_reasons": None,
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.cache_read.input_tokens": 2,
        "gen_ai.usage.cache_creation.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "http.response.status_code": 299,
        "error.type": None,
    }


def test_a_job_under_the_conventions_names() -> None:
    """Of a job: the model asked for is the primary's, the one of the response is that which answered."""
    row = exported(final("j1", requested_model="asked", served_model="answered", input_tokens=6, output_tokens=7))
    assert (row["gen_ai.request.model"], row["gen_ai.response.model"]) == ("asked", "answered")
    assert (row["gen_ai.usage.input_tokens"], row["gen_ai.usage.output_tokens"]) == (6, 7)


@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_error_type(outcome: OutcomeKind) -> None:
    """A call's error is its outcome; where there was an answer, there was no error."""
    row = exported(finished("j1", outcome=outcome))
    assert row["pointsman.outcome"] == outcome.value
    assert row["error.type"] == (None if outcome in (OutcomeKind.OK, OutcomeKind.TRUNCATED) else outcome.value)


def test_error_of_a_job() -> None:
    """A job's error is the code it failed of."""
    assert exported(final("j1", error_code="deadline"))["error.type"] == "deadline"
    assert exported(final("j1"))["error.type"] is None


def test_finish_reasons_are_a_list() -> None:
    """The reason why an answer ended is a list of one; where there is none, there is no list."""
    assert exported(finished("j1", finish_reason="stop"))["gen_ai.response.finish_reasons"] == ["stop"]
    assert exported(finished("j1"))["gen_ai.response.finish_reasons"] is None


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", SAMPLES)
@given(changed=st.dictionaries(st.sampled_from(sorted(FORMS)) | st.text(max_size=6), ANY_JSON, max_size=5))
def test_nothing_a_record_says_is_lost(kind: str, changed: dict[str, Any]) -> None:
    """Whatever stands in a record: a column of the right form has it, or else `pointsman.other`, as it was."""
    body = {**draft_of(SAMPLES[kind], NOON).body, **changed, "kind": kind, "seq": 7, "prev_hash": GENESIS}
    row = row_of(Stored(7, "h", ""), body, BOOK)
    assert list(row) == [column.name for column in columns_of(RecordKind(kind))]
    assert (row["pointsman.seq"], row["pointsman.kind"], row["pointsman.record_hash"]) == (7, kind, "h")
    other = row[OTHER] or {}
    fields = {column.field: column.name for column in columns_of(RecordKind(kind)) if column.field}
    for name, value in body.items():
        if name in ("seq", "prev_hash"):
            assert name not in other
        elif name in other:
            assert other[name] is value
            assert row.get(fields.get(name, "")) is None
        else:
            shown = row[fields[name]]
            assert shown == ([value] if name == "finish_reason" and isinstance(value, str) else value)


@pytest.mark.parametrize("kind", SAMPLES)
def test_records_of_the_contract_fit(kind: str) -> None:
    """A record as it is written today has a column for everything."""
    assert exported(SAMPLES[kind])[OTHER] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_id", 7),
        ("job_id", ["j1"]),
        ("attempt", True),
        ("attempt", 1.0),
        ("attempt", "1"),
        ("attempt", 2**63),
        ("http_status", "=1+1"),
        ("retry_after_s", True),
        ("retry_after_s", "soon"),
        ("counted", 1),
        ("started_at", -1),
        ("started_at", LATEST + 1),
        ("started_at", True),
        ("started_at", "2026-01-01"),
        ("finish_reason", [1]),
        ("finish_reason", {}),
    ],
)
def test_another_form_is_no_value(field: str, value: object) -> None:
    """A value that is not of its column's form is in no column; it is in `pointsman.other`, as it was."""
    body = {**draft_of(SAMPLES["attempt_finished"], NOON).body, field: value}
    row = row_of(Stored(7, "h", ""), body, BOOK)
    assert row[CONVENTIONAL.get(field, f"pointsman.{field}")] is None
    assert row[OTHER] == {field: value}


@pytest.mark.parametrize("path", [[{"tier": "a/b"}], [{"tier": "a/b", "reason": 1}], [["a/b"]], "a/b", {"tier": "a/b"}])
def test_another_path_is_no_path(path: object) -> None:
    """A path that is not made of tiers and reasons is in `pointsman.other`."""
    row = row_of(Stored(7, "h", ""), {**draft_of(SAMPLES["final"], NOON).body, "path": path}, BOOK)
    assert row["pointsman.path"] is None
    assert row[OTHER] == {"path": path}
