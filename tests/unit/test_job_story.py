"""A job's story: whole stories against reviewed texts, and what no record can do to one."""

import re
from dataclasses import replace
from typing import Any

import pytest
from audit_records import NOON, SECOND
from hypothesis import given
from hypothesis import strategies as st
from story_histories import HISTORIES, STORIES, shown, story
from story_parts import POLICIES, POLICY, TABLE

from pointsman_audit.listing import as_told
from pointsman_console.job_story import final_of, is_trial, tell_story
from pointsman_console.printable import printable
from pointsman_console.story_times import in_utc, read_time, span, time_of
from pointsman_console.story_words import ERRORS, OUTCOMES, REASONS, error_words, hop_words, outcome_words, reason_words
from pointsman_routes import OutcomeKind, Reason, RouteTable


@pytest.mark.parametrize("name", HISTORIES)
def test_story(name: str) -> None:
    """The story is the reviewed one, to the letter."""
    assert story(name) == (STORIES / f"{name}.txt").read_text(encoding="utf-8")


def test_every_story_is_told() -> None:
    """No text lies about that no history tells any more."""
    assert {path.stem for path in STORIES.glob("*.txt")} == set(HISTORIES)


@pytest.mark.parametrize("name", HISTORIES)
def test_every_record_is_a_step(name: str) -> None:
    """Every record of a job is in its story under its number, in order."""
    records = shown(HISTORIES[name])
    numbers = re.findall(r"^\s*[+-]\S.*?\s(\d+)  \S", "\n".join(tell_story(records, POLICIES)), re.MULTILINE)
    assert [int(number) for number in numbers] == [record["seq"] for record in records]


@pytest.mark.parametrize("name", HISTORIES)
def test_what_is_missing_is_unknown(name: str) -> None:
    """Without any of its fields a record still reads, and without policies it is said that they are not known."""
    records = shown(HISTORIES[name])
    fields = {field for record in records for field in record} - {"kind", "seq"}
    for field in fields:
        poor = [{**record, field: None} if field in record else record for record in records]
        told = "\n".join(tell_story(poor, POLICIES))
        assert "None" not in told, field
    for record in records:
        assert len(tell_story([{"kind": record["kind"], "seq": 1}], {})) > 2
    unknown = "\n".join(tell_story(records, {}))
    assert "its text is not in the ledger: why a tier was allowed cannot be told" in unknown


def test_a_policy_of_another_version() -> None:
    """Of a policy that this version cannot read the class's own keys are told as they are; garbage tells nothing."""
    records = shown(HISTORIES["answered"])
    text = '{"classes":{"triage":{"route":["openai/fast"],"regions":["eu"],"new":1}},"providers":{}}'
    told = "\n".join(tell_story(records, {POLICY: replace(POLICIES[POLICY], policy=text)}))
    assert '  route: ["openai/fast"]\n  regions: ["eu"]' in told
    assert "another version of Pointsman wrote it" in told
    for garbage in ("{", "[]", '{"classes":[]}', '{"classes":{"triage":7}}', ""):
        told = "\n".join(tell_story(records, {POLICY: replace(POLICIES[POLICY], policy=garbage)}))
        assert "another version of Pointsman wrote it" in told


def test_a_class_that_is_gone() -> None:
    """A policy without the class says so."""
    records = [{**record, "task_class": "synthesis"} for record in shown(HISTORIES["answered"])]
    told = "\n".join(tell_story(records, POLICIES))
    assert "it has no class synthesis" in told
    assert "deadline     unknown" in told


def test_a_kind_of_another_version() -> None:
    """A kind of record that has no words of its own is told by its fields."""
    odd = {"kind": "pondered", "seq": 7, "job_id": "j", "at": "2026-01-01T12:00:00.000000Z", "mood": "dim", "x": None}
    told = tell_story([odd], {})
    assert told[-1].endswith("7  pondered: mood dim")
    assert any("no record tells of its life" in line for line in told)


def test_taken_in_again() -> None:
    """A job that was taken in after its end has none; what it waits for is told."""
    ended = shown(HISTORIES["answered"])
    again = [*ended, {**ended[0], "seq": 45, "accepted_at": "2026-01-01T12:01:00.000000Z"}]
    told = tell_story(again, POLICIES)
    assert final_of(again) is None
    assert final_of(ended) == ended[-1]
    assert told[0].endswith(": not ended")
    assert any(line.startswith("  waits        in the queue of openai/fast") for line in told)


def test_only_an_end() -> None:
    """A job whose acceptance no record tells of is told from its end on, and that is said."""
    told = tell_story(shown(HISTORIES["answered"])[-1:], POLICIES)
    assert told[2].endswith("(its end says so; there is no record of its acceptance)")
    assert told[6].startswith("  ended        2026-01-01 12:00:00.812 UTC, +0.812 s")


def test_a_trial_is_no_job() -> None:
    """What `routes test` leaves is a trial; a job is none whatever it is called."""
    assert is_trial(shown(HISTORIES["trial"]))
    named = [{**record, "job_id": "test-1"} for record in shown(HISTORIES["answered"])]
    assert not is_trial(named)
    assert not is_trial(named[:1])
    assert not is_trial(shown(HISTORIES["answered"])[1:3])


def test_a_tier_off_the_route() -> None:
    """Of a tier where the job was called although it is not on the route, the policy's part says that it is not."""
    astray = [
        {**record, "tier": "ollama/large"} if "tier" in record else record for record in shown(HISTORIES["moved"])
    ]
    told = tell_story(astray, POLICIES)
    assert told[-1] == "    ollama/large is not allowed: the configuration has no tier 'ollama/large'"
    known = [{**record, "tier": "ollama/small"} if "tier" in record else record for record in astray]
    shorter = TABLE.classes["triage"].model_copy(update={"route": ("openai/fast",)})
    text = RouteTable(providers=TABLE.providers, classes={"triage": shorter}).policy
    told = tell_story(known, {POLICY: replace(POLICIES[POLICY], policy=text)})
    assert told[-1].startswith("    ollama/small is not allowed: 'ollama/small' is not on the route; ")


def test_a_release_tells_how_long_it_was_waited() -> None:
    """How long a job was held is told where the record of its hold is there, and of no other hold."""
    records = shown(HISTORIES["held"])
    again = [*records[:3], {**records[2], "seq": 44}]
    told = "\n".join(tell_story(again, POLICIES))
    assert told.count("released after 12m 34s: openai/fast is open") == 1
    assert told.count("released: openai/fast is open") == 1


@given(st.text())
def test_printable(text: str) -> None:
    """Whatever a stranger wrote is printable, and stays as it is where it was."""
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


def test_nothing_steers_the_terminal() -> None:
    """A name with escapes, line feeds or marks that turn the line around is written out, wherever it stands."""
    evil = "\x1b]0;x\x07\n\u202e\u2066evil"
    fields = {"response_model", "served_model", "custom_id", "provider_request_id", "owner", "worker", "finish_reason"}
    fields |= {"batch_id", "job_id", "upstream", "response_region", "task_class", "tier", "requested_tier", "model"}
    for name in ("answered", "moved", "held", "erased", "poison", "trial"):
        records = [{**record, **dict.fromkeys(fields & set(record), evil)} for record in shown(HISTORIES[name])]
        for line in tell_story(records, POLICIES):
            assert line.isprintable(), line


def test_words_for_all() -> None:
    """Every outcome and every reason has words; one of another version, or none, is told as it is."""
    assert set(OUTCOMES) == set(OutcomeKind)
    assert set(REASONS) == set(Reason)
    assert (outcome_words("new"), reason_words("new"), error_words("new")) == ("new", "new", "new")
    assert (reason_words(None), error_words(None)) == ("for an unknown reason", "why is unknown")
    assert error_words("poison") == f"poison: {ERRORS['poison']}"
    assert [hop_words(hop) for hop in (0, 2, 99)] == [
        "the primary of the route",
        "backup 2 of the route",
        "a tier that is on the route no more",
    ]


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0.000 s"),
        (1, "0.000001 s"),
        (499, "0.000499 s"),
        (812_000, "0.812 s"),
        (-4_000, "-0.004 s"),
        (119_999_000, "119.999 s"),
        (120 * SECOND, "2m 00s"),
        (3_723 * SECOND, "1h 02m 03s"),
        (90_061 * SECOND, "1d 01h 01m 01s"),
        (-400 * SECOND, "-6m 40s"),
    ],
)
def test_span(micros: int, text: str) -> None:
    """A span is as exact as it is short, and never shown as nothing unless it is."""
    moments = [read_time(as_iso(NOON)), read_time(as_iso(NOON + micros))]
    assert moments[0] is not None
    assert moments[1] is not None
    assert span(moments[1] - moments[0]) == text


def test_moments() -> None:
    """Moments are in UTC, as exact as records have them; what is none is unknown."""
    assert in_utc(read_time("2026-01-01T12:00:00.000000Z")) == "2026-01-01 12:00:00 UTC"
    assert in_utc(read_time("2026-01-01T12:00:00.250001Z")) == "2026-01-01 12:00:00.250001 UTC"
    assert in_utc(read_time("2026-01-01T12:00:10.000000Z")) == "2026-01-01 12:00:10 UTC"
    assert [read_time(value) for value in (None, 7, "noon")] == [None, None, None]
    assert in_utc(None) == "at an unknown time"
    assert time_of({"kind": "moved", "at": None}) is None


def as_iso(micros: int) -> str:
    """A moment as the ledger shows it."""
    body = f'{{"kind":"moved","at":{micros}}}'
    told: dict[str, Any] = as_told(1, body)
    return str(told["at"])
