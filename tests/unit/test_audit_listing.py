"""How records are shown, and which filters make sense."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from audit_records import NOON, accepted, entry, final, finished, held, moved, started, switched
from hypothesis import given
from hypothesis import strategies as st

from pointsman_audit import GENESIS, FilterInvalid, Garbage, Head, ListedKind, RecordFilter, ShownRecord, link
from pointsman_audit.intake import read_entry
from pointsman_audit.listing import as_listed, as_told
from pointsman_audit.moment import LATEST, to_iso, to_micros
from pointsman_routes import Wire

FINAL = (
    "kind seq job_id custom_id batch_id task_class state requested_tier requested_model served_tier served_provider "
    "served_model served_region fallback_reason path downgraded attempts input_tokens output_tokens cost_microusd "
    "price_source accepted_at finished_at policy_digest prompt_digest response_digest error_code"
)
ATTEMPT = (
    "kind seq job_id attempt hop tier provider owner model region worker fence started_at finished_at duration_us "
    "outcome http_status provider_request_id response_model response_region upstream service_tier finish_reason "
    "input_tokens cached_input_tokens cache_write_tokens output_tokens reasoning_tokens usage_source cost_microusd "
    "retry_after_s counted"
)


def body_of(record: Wire, at: int = NOON) -> str:
    """A record's body in the ledger."""
    draft = read_entry(entry(record, at=at))
    assert not isinstance(draft, Garbage)
    return link(Head(6, GENESIS), draft.body).text


def test_final_fields() -> None:
    """A final record shows exactly the documented fields, in their order, with moments as text."""
    shown = as_listed(ListedKind.FINAL, 7, body_of(final("j1"), NOON + 1))
    assert list(shown) == FINAL.split()
    assert (shown["seq"], shown["accepted_at"]) == (7, "2026-01-01T12:00:00.000000Z")
    assert shown["finished_at"] == "2026-01-01T12:00:00.000001Z"
    assert shown["path"] == [{"tier": "openai/fast", "reason": "ok"}]


def test_attempt_fields() -> None:
    """An attempt shows exactly the documented fields whether it has ended or not."""
    ended = as_listed(ListedKind.ATTEMPT, 8, body_of(finished("j1"), NOON + 2))
    assert list(ended) == ATTEMPT.split()
    assert (ended["kind"], ended["outcome"]) == ("attempt", "ok")
    assert ended["finished_at"] == "2026-01-01T12:00:00.000002Z"
    begun = as_listed(ListedKind.ATTEMPT, 9, body_of(started("j1"), NOON))
    assert list(begun) == ATTEMPT.split()
    assert (begun["kind"], begun["started_at"]) == ("attempt", "2026-01-01T12:00:00.000000Z")
    assert (begun["finished_at"], begun["outcome"], begun["counted"]) == (None, None, None)


@pytest.mark.parametrize(
    ("record", "time"),
    [
        (accepted("j1"), "accepted_at"),
        (started("j1"), "started_at"),
        (finished("j1"), "finished_at"),
        (moved("j1"), "at"),
        (held("j1"), "at"),
        (final("j1", mismatch=True), "finished_at"),
        (switched(), "at"),
    ],
)
def test_story_tells_everything(record: Wire, time: str) -> None:
    """In a story a record has its own kind, every field of the contract, its number and its moment."""
    told = as_told(3, body_of(record))
    declared: ShownRecord = record.model_dump(mode="json")
    assert told.keys() == declared.keys() | {"seq", time}
    assert told[time] == "2026-01-01T12:00:00.000000Z"
    same = declared.keys() - {"accepted_at", "started_at"}
    assert {name: told[name] for name in same} == {name: declared[name] for name in same}


def test_undeclared_field_is_not_shown() -> None:
    """A field nobody declared stays inside, wherever the record is shown."""
    body = json.dumps({**json.loads(body_of(final("j1"))), "prompt": "hello"})
    assert "prompt" not in as_listed(ListedKind.FINAL, 1, body)
    assert "prompt" not in as_told(1, body)


@given(st.integers(0, LATEST))
def test_moments_are_exact(micros: int) -> None:
    """A moment survives being shown, to the microsecond, and later text is a later moment."""
    shown = to_iso(micros)
    assert len(shown) == len("2026-01-01T12:00:00.000000Z")
    assert to_micros(datetime.fromisoformat(shown)) == micros
    assert micros == LATEST or to_iso(micros + 1) > shown


def test_moment_in_another_zone() -> None:
    """A filter's moment means the same instant in whatever zone it is written."""
    berlin = datetime.fromisoformat("2026-01-01T13:00:00+01:00")
    assert to_micros(berlin) == to_micros(datetime(2026, 1, 1, 12, tzinfo=UTC)) == NOON
    assert to_micros(berlin + timedelta(microseconds=1)) == NOON + 1


@pytest.mark.parametrize("name", ["since", "until"])
def test_moment_without_zone_is_refused(name: str) -> None:
    """A moment that could be one of many is refused, naming the option."""
    naive = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(FilterInvalid, match=rf"^{name} has no time zone"):
        RecordFilter(since=naive) if name == "since" else RecordFilter(until=naive)


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_that_shows_nothing_is_refused(limit: int) -> None:
    """A limit below one is a mistake, not an empty listing."""
    with pytest.raises(FilterInvalid, match="write 1 or more"):
        RecordFilter(limit=limit)
