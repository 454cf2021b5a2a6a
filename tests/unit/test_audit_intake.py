"""What becomes a record of the ledger, and what is garbage."""

import hashlib
import json
from typing import Any

import pytest
from audit_records import NOON, accepted, entry, final, finished, held, moved, started, switched
from hypothesis import given
from hypothesis import strategies as st

from pointsman_audit import GENESIS, Garbage, Head, link
from pointsman_audit.columns import Facet
from pointsman_audit.intake import LONGEST_RECORD, Draft, read_entry
from pointsman_queue import OutboxEntry
from pointsman_routes import JobState, OutcomeKind, Reason, Wire

WHOLE = (accepted("j1"), started("j1"), finished("j1"), moved("j1"), held("j1"), final("j1"), switched())


def draft(record: Wire | bytes | dict[str, Any], at: int = NOON) -> Draft:
    """The draft of a record that is one."""
    found = read_entry(entry(record, at=at))
    assert not isinstance(found, Garbage), found.reason
    return found


def facet(record: Wire | dict[str, Any]) -> Facet:
    """The words it is found by."""
    return draft(record).columns.facet


@pytest.mark.parametrize("record", WHOLE, ids=lambda record: record.kind.value)
def test_body_is_the_record_and_its_time(record: Any) -> None:
    """A body is the record as it came, with the outbox's time under its proper name."""
    times = {"accepted": "accepted_at", "attempt_started": "started_at", "attempt_finished": "finished_at"}
    times["final"] = "finished_at"
    found = draft(record)
    expected = {**record.model_dump(mode="json"), times.get(record.kind.value, "at"): NOON}
    expected.pop("policy", None)
    assert found.body == expected
    assert (found.kind, found.columns.at) == (record.kind, NOON)


def test_policy_is_taken_out() -> None:
    """The configuration that comes with a change of policy is kept beside the record, if it is what its digest says."""
    digest = hashlib.sha256(b"{}").hexdigest()
    record = {"kind": "policy_change", "role": "worker", "policy_digest": digest, "by": "w1", "policy": "{}"}
    found = draft(record)
    assert (found.policy, "policy" in found.body, found.body["policy_digest"]) == ("{}", False, digest)
    for policy in ("{ }", ["{}"], 7):
        other = read_entry(entry({**record, "policy": policy}))
        assert isinstance(other, Garbage)
        assert other.reason == "policy is not what policy_digest says"


def test_nobody_else_numbers_records() -> None:
    """A record that comes with a number or a hash of its own does not keep them: these are the chain's."""
    found = draft({**final("j1").model_dump(mode="json"), "seq": 7, "prev_hash": "0"})
    assert not {"seq", "prev_hash"} & set(found.body)


@pytest.mark.parametrize(
    ("record", "tier", "model"),
    [
        (accepted("j1"), "openai/fast", None),
        (started("j1", tier="ollama/small", model="qwen3"), "ollama/small", "qwen3"),
        (finished("j1", tier="ollama/small", model="qwen3"), "ollama/small", "qwen3"),
        (moved("j1"), "openai/fast", None),
        (held("j1"), "anthropic/fast", None),
        (switched(), "openai/fast", None),
        (final("j1"), "openai/fast", "gpt-5-mini-2025-08-07"),
        (final("j1", served_tier="ollama/small", served_model=None), "ollama/small", None),
        (final("j1", served_tier=None, served_model=None), "openai/fast", "gpt-5-mini"),
    ],
)
def test_found_by_tier_and_model(record: Wire, tier: str, model: str | None) -> None:
    """A final record is found by what served it, or by what was requested if nothing did, never by a mixture."""
    words = facet(record)
    assert (words.tier, words.model) == (tier, model)


@pytest.mark.parametrize(
    ("record", "flags"),
    [
        (final("j1"), (False, False, False)),
        (final("j1", fallback_reason=Reason.TRANSIENT), (True, False, False)),
        (final("j1", downgraded=True), (False, True, False)),
        (final("j1", mismatch=True), (False, False, True)),
        (finished("j1", hop=1), (True, False, False)),
        (finished("j1", outcome=OutcomeKind.MISROUTED), (False, False, True)),
        (started("j1", hop=2), (True, False, False)),
        (switched(), (False, False, False)),
    ],
)
def test_flags(record: Wire, flags: tuple[bool, bool, bool]) -> None:
    """Fallback, downgraded and mismatch say of each kind what the filter's documentation says."""
    words = facet(record)
    assert (words.fallback, words.downgraded, words.mismatch) == flags


def test_unknown_fields_are_kept() -> None:
    """A field of a later version stays in the body, so an older recorder loses nothing."""
    found = draft({**final("j1").model_dump(mode="json"), "from_the_future": [1]})
    assert found.body["from_the_future"] == [1]


def test_text_no_column_can_hold() -> None:
    """A NUL in a producer's own name does not cost the record: the column escapes it, the body keeps it."""
    found = draft(final("j1", custom_id="a\0b"))
    assert found.columns.custom_id == "a\\x00b"
    text = link(Head(0, GENESIS), found.body).text
    assert "\0" not in text
    assert json.loads(text)["custom_id"] == "a\0b"


def without(name: str) -> dict[str, Any]:
    """A final record that lacks a field."""
    return {key: value for key, value in final("j1").model_dump(mode="json").items() if key != name}


def changed(**values: Any) -> dict[str, Any]:
    """A final record with values the contract does not allow."""
    return {**final("j1").model_dump(mode="json"), **values}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\x80\x04\x95\x00\x00", "not JSON"),
        (b'{"kind":"\xff"}', "not JSON"),
        (b'{"kind":"final","cost_microusd":NaN}', "not JSON"),
        (final("j1").model_dump_json().replace("{", '{"more":1e999,', 1).encode(), "a number is too large"),
        (b"[" * 100_000, "not JSON"),
        (b'"' + b"x" * LONGEST_RECORD + b'"', "too long"),
        (b"null", "not an object"),
        (b"[1]", "not an object"),
        (b"{}", "unknown kind"),
        (b'{"kind":"gossip"}', "unknown kind"),
        (b'{"kind":["final"]}', "unknown kind"),
        (without("job_id"), "job_id is missing"),
        (without("state"), "state is missing"),
        (changed(job_id=""), "job_id is empty"),
        (changed(job_id=None), "job_id is empty"),
        (changed(job_id=7), "job_id is no text"),
        (changed(batch_id="x" * 1025), "batch_id is too long"),
        (changed(batch_id="\N{EURO SIGN}" * 400), "batch_id is too long"),
        (changed(served_model={"name": "x"}), "served_model is no text"),
        (changed(mismatch="no"), "mismatch is neither true nor false"),
        (changed(accepted_at="yesterday"), "accepted_at is no moment"),
        (changed(accepted_at=10**18), "accepted_at is no moment"),
        ({**finished("j1").model_dump(mode="json"), "fence": 1.5}, "fence is no whole number"),
        ({**finished("j1").model_dump(mode="json"), "fence": 2**70}, "fence is no whole number"),
        ({**finished("j1").model_dump(mode="json"), "attempt": True}, "attempt is no whole number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_garbage(record: bytes | dict[str, Any], reason: str) -> None:
    """What is no record is kept as text, with the reason."""
    found = read_entry(entry(record, entry_id="7-1"))
    assert isinstance(found, Garbage)
    assert (found.reason, found.entry_id, found.at) == (reason, "7-1", NOON)
    assert len(found.raw) <= 65_536
    if isinstance(record, bytes):
        assert found.raw.startswith(record[:4].decode("utf-8", "backslashreplace")[:4])


@pytest.mark.parametrize("at", [0, 10**18, 10**40])
def test_no_time(at: int) -> None:
    """A record whose moment no calendar has is garbage, and its moment fits the column."""
    found = read_entry(entry(final("j1"), at=at))
    assert isinstance(found, Garbage)
    assert found.reason == "no time"
    assert 0 <= found.at < 2**63


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    record=st.sampled_from([record.model_dump(mode="json") for record in WHOLE]),
    changes=st.dictionaries(st.sampled_from(sorted(final("j").model_dump())), JSON, max_size=3),
    at=st.integers(0, 10**20),
)
def test_whatever_comes_fits_a_row(record: dict[str, Any], changes: dict[str, Any], at: int) -> None:
    """Whatever an entry holds, the answer is a row whose values fit their columns, or garbage that fits its own."""
    text = json.dumps({**record, **changes}).encode()
    found = read_entry(OutboxEntry(entry_id="1-0", at=at, record=text))
    values: list[Any]
    if isinstance(found, Garbage):
        values = [found.raw, found.reason, found.at]
    else:
        columns = found.columns._replace(facet=None)  # type: ignore[arg-type]  # its words are looked at one by one
        values = [*found.columns.facet, *columns, link(Head(0, GENESIS), found.body).text]
    for value in values:
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        else:
            assert value is None or -(2**63) <= value < 2**63


def test_state_is_taken_over() -> None:
    """State and outcome are there to be filtered by."""
    assert facet(final("j1", state=JobState.EXPIRED)).state == "expired"
    assert facet(finished("j1", outcome=OutcomeKind.THROTTLED)).outcome == "throttled"
