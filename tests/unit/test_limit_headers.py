"""What vendors' headers say is left of a limit: every published spelling, and whatever garbage."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provider_samples import NOW, openai, raw, tier

from pointsman_routes import Allowance, LimitName
from pointsman_worker.providers.limit_headers import counts_requests_per_day, read_allowances
from pointsman_worker.providers.openai import OpenAICompatibleCodec

DATE = "Sat, 31 Oct 2026 18:00:00 GMT"
MONTH_S = 32 * 86400


def left(name: LimitName, limit: int | None, remaining: int | None, reset_s: float | None = None) -> Allowance:
    """An allowance, in the order vendors document it."""
    return Allowance(name=name, limit=limit, remaining=remaining, reset_s=reset_s)


def openai_headers(what: str, limit: str = "", remaining: str = "", reset: str = "") -> dict[str, str]:
    """The three headers of one limit as OpenAI writes them; an empty one is not sent."""
    fields = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{field}-{what}": value for field, value in fields.items() if value}


def read(headers: Mapping[str, str], *, now: datetime = NOW, requests_per_day: bool = False) -> tuple[Allowance, ...]:
    """The allowances in these headers."""
    return read_allowances(headers, now, requests_per_day=requests_per_day)


def reset_of(text: str, *, now: datetime = NOW, date: str | None = None) -> float | None:
    """How one reset is read."""
    headers = openai_headers("tokens", "100", "50", text) | ({"date": date} if date is not None else {})
    return read(headers, now=now)[0].reset_s


OPENAI = openai_headers("requests", "60", "59", "1s") | openai_headers("tokens", "150000", "149984", "6m0s")
GROQ = openai_headers("requests", "14400", "14370", "2m59.56s") | openai_headers("tokens", "18000", "17997", "7.66s")
AZURE = openai_headers("requests", "250", "249", "60") | openai_headers("tokens", "250000", "249984", "55")
AZURE_OLDER = {"x-ratelimit-remaining-requests": "79", "x-ratelimit-remaining-tokens": "61353"}
AZURE_UNKNOWN = openai_headers("requests", "-1", "-1", "0") | openai_headers("tokens", "-1", "-1", "0")
CEREBRAS = (
    openai_headers("requests-day", "14400", "13693", "11726.2840924263")
    | openai_headers("tokens-minute", "60000", "59000", "26.28409242630005")
    | openai_headers("requests-minute", "30", "29", "26.3")
    | openai_headers("requests-hour", "900", "899", "1826.3")
    | openai_headers("tokens-hour", "1000000", "999000", "1826.3")
    | openai_headers("tokens-day", "1000000", "999000", "11726.3")
)
MISTRAL = openai_headers("req-minute", "100", "98") | openai_headers("tokens-minute", "500000", "499000")
MISTRAL_OLDER = {
    "x-ratelimitbysize-limit-minute": "500000",
    "x-ratelimitbysize-remaining-minute": "499900",
    "x-ratelimitbysize-limit-month": "1000000000",
    "x-ratelimitbysize-remaining-month": "999999900",
    "ratelimitbysize-limit": "400000",
    "ratelimitbysize-remaining": "399900",
    "ratelimitbysize-reset": "28",
    "ratelimitbysize-query-cost": "100",
}
ANTHROPIC = {
    "date": DATE,
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-10-31T18:00:01Z",
    "anthropic-ratelimit-tokens-limit": "38000",
    "anthropic-ratelimit-tokens-remaining": "37000",
    "anthropic-ratelimit-tokens-reset": "2026-10-31T18:00:02Z",
    "anthropic-ratelimit-input-tokens-limit": "30000",
    "anthropic-ratelimit-input-tokens-remaining": "30000",
    "anthropic-ratelimit-input-tokens-reset": "2026-10-31T18:00:00Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2026-10-31T19:01:00+01:00",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, set()),
        (OPENAI, {left("rpm", 60, 59, 1.0), left("tpm", 150_000, 149_984, 360.0)}),
        (GROQ, {left("rpm", 14_400, 14_370, 179.56), left("tpm", 18_000, 17_997, 7.66)}),
        (AZURE, {left("rpm", 250, 249, 60.0), left("tpm", 250_000, 249_984, 55.0)}),
        (AZURE_OLDER, {left("rpm", None, 79), left("tpm", None, 61_353)}),
        (AZURE_UNKNOWN, set()),
        (CEREBRAS, {left("rpm", 30, 29, 26.3), left("rpd", 14_400, 13_693, 11726.2840924263),
                    left("tpm", 60_000, 59_000, 26.28409242630005)}),
        (MISTRAL, {left("rpm", 100, 98), left("tpm", 500_000, 499_000)}),
        (MISTRAL_OLDER, {left("tpm", 500_000, 499_900, 28.0)}),
        ({"ratelimitbysize-limit": "500000", "ratelimitbysize-remaining": "499900", "ratelimitbysize-reset": "28"},
         {left("tpm", 500_000, 499_900, 28.0)}),
        (ANTHROPIC, {left("rpm", 50, 49, 1.0), left("itpm", 30_000, 30_000, 0.0), left("otpm", 8_000, 0, 60.0)}),
    ],
    ids=["none", "openai", "groq", "azure", "azure older", "azure -1", "cerebras", "mistral", "mistral older",
         "mistral oldest", "anthropic"],
)  # fmt: skip
def test_each_vendors_spelling_is_read(headers: dict[str, str], expected: set[Allowance]) -> None:
    """The published sample of each vendor gives its limits, and nothing about hours, months or tokens a day."""
    allowances = read(headers)
    assert set(allowances) == expected
    assert len(allowances) == len(expected)


def test_groqs_requests_are_of_the_day_whatever_they_show() -> None:
    """Where the vendor is known, no arithmetic is needed; tokens stay per minute."""
    full = openai_headers("requests", "14400", "14400", "0s") | openai_headers("tokens", "18000", "17997", "7.66s")
    assert set(read(full, requests_per_day=True)) == {
        left("rpd", 14_400, 14_400, 0.0),
        left("tpm", 18_000, 17_997, 7.66),
    }


@pytest.mark.parametrize("sample", [("10000", "9999", "8.64s"), ("1000", "0", "24h0m0s"), ("1500", "1499", "60s")])
def test_arithmetic_makes_no_limit_a_days(sample: tuple[str, str, str]) -> None:
    """A bucket that takes a day to fill looks like a window of a minute that has just begun: neither is the day's."""
    assert [allowance.name for allowance in read(openai_headers("requests", *sample))] == ["rpm"]


def test_only_requests_can_be_of_the_day() -> None:
    """A slow bucket of tokens, or one whose header says minute, is what it says."""
    day = ("1000", "0", "24h0m0s")
    assert read(openai_headers("tokens", *day), requests_per_day=True) == (left("tpm", 1000, 0, 86400.0),)
    assert read(openai_headers("requests-minute", *day), requests_per_day=True) == (left("rpm", 1000, 0, 86400.0),)


def test_a_header_that_names_its_window_comes_first() -> None:
    """What a gateway adds in OpenAI's spelling does not hide what the vendor says."""
    headers = openai_headers("requests", "5", "5") | openai_headers("requests-minute", "30", "29")
    assert read(headers) == (left("rpm", 30, 29),)
    both = openai_headers("requests", "900", "800") | openai_headers("requests-minute", "30", "29")
    assert set(read(both, requests_per_day=True)) == {left("rpd", 900, 800), left("rpm", 30, 29)}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("1m60s", 120.0),
        ("0s", 0.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("0", 0.0),
        ("55", 55.0),
        (" 55\t", 55.0),
        ("26.28409242630005", 26.28409242630005),
        ("2764800", 2764800.0),
        ("768h0m0s", 2764800.0),
        ("2764801", None),
        ("768h0m1s", None),
        ("1793469600", None),
        ("-1", None),
        ("-1s", None),
        ("1e3", None),
        ("NaN", None),
        ("inf", None),
        ("", None),
        ("s", None),
        ("1m2", None),
        ("1 m", None),
        ("1d", None),
        ("soon", None),
        ("٣s", None),
        ("9" * 1000, None),
        ("1s" * 1000, None),
        ("2026-10-31T18:00:05Z", 5.0),
        ("2026-10-31t18:00:05.25z", 5.25),
        ("2026-10-31T18:00:05.123456789Z", 5.123456),
        ("2026-10-31T20:00:05+02:00", 5.0),
        ("2026-10-31T18:00:00Z", 0.0),
        ("2026-10-31T17:59:59Z", None),
        ("2026-12-02T18:00:00Z", float(MONTH_S)),
        ("2026-12-02T18:00:01Z", None),
        ("2026-10-31T18:00:05", None),
        ("2026-10-31", None),
        ("2026-13-31T18:00:05Z", None),
        ("2026-10-31T25:00:05Z", None),
        ("0000-10-31T18:00:05Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_a_reset_is_read_or_unknown(text: str, seconds: float | None) -> None:
    """Go durations, seconds and moments are understood; the past, the far future and garbage are unknown."""
    read_as = reset_of(text)
    assert read_as == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("minutes_off", [-5, 0, 5])
def test_a_moment_is_counted_from_the_vendors_clock(minutes_off: int) -> None:
    """A worker whose clock is minutes off reads the same seconds as one whose clock is right."""
    clock = NOW + timedelta(minutes=minutes_off)
    assert reset_of("2026-10-31T18:00:30Z", now=clock, date=DATE) == 30.0
    assert reset_of("2026-10-31T17:59:59Z", now=clock, date=DATE) is None


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "2026-10-31T18:00:00Z", "Sat, 99 Oct 2026 99:00:00 GMT", "Sat, 01 Jan 0101 00:00:00 +2359",
     "Fri, 31 Dec 9999 23:59:59 -2359", "9" * 1000, "\x00"],
)  # fmt: skip
def test_without_a_date_our_own_clock_has_to_do(date: str) -> None:
    """A date nobody can read is none."""
    assert reset_of("2026-10-31T18:00:30Z", date=date) == 30.0


def test_seconds_need_no_clock() -> None:
    """Only a moment is counted from a clock."""
    assert reset_of("30", date="Sat, 31 Oct 2026 17:00:00 GMT") == 30.0
    assert reset_of("30s", now=NOW + timedelta(days=1), date=DATE) == 30.0


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "-1", "-0", "+5", "5.5", "5.", "1e3", "NaN", "inf", "0x10", "1_000", "1,000", "٣", "5 6", "none",
     "unlimited", "1000000000001", "9" * 1000],
)  # fmt: skip
def test_a_count_nobody_can_read_is_unknown(garbage: str) -> None:
    """The field is None; the other one still counts, and with neither there is no allowance."""
    assert read({"x-ratelimit-limit-tokens": garbage, "x-ratelimit-remaining-tokens": "7"}) == (left("tpm", None, 7),)
    assert read({"x-ratelimit-limit-tokens": "7", "x-ratelimit-remaining-tokens": garbage}) == (left("tpm", 7, None),)
    assert read({"x-ratelimit-limit-tokens": garbage, "x-ratelimit-remaining-tokens": garbage}) == ()


def test_counts_are_bounded_and_a_zero_is_one() -> None:
    """Nothing left is the most useful thing a header can say; a trillion is the most it can."""
    assert read(openai_headers("tokens", "1000000000000", "0")) == (left("tpm", 10**12, 0),)


def test_more_left_than_there_is_is_not_believed() -> None:
    """What is left is at most the limit."""
    assert read(openai_headers("tokens", "100", "250")) == (left("tpm", 100, 100),)


def test_a_reset_alone_says_nothing() -> None:
    """Without a limit and without what is left there is nothing to reset."""
    assert read(openai_headers("tokens", reset="6m0s")) == ()


@pytest.mark.parametrize(
    ("base_url", "daily"),
    [
        ("https://api.groq.com/openai/v1", True),
        ("https://API.GROQ.COM:443/openai/v1/", True),
        ("https://eu.api.groq.com./v1", True),
        ("https://api.openai.com/v1", False),
        ("https://notgroq.com/v1", False),
        ("https://api.groq.com.example.org/v1", False),
        ("https://example.org/api.groq.com", False),
        ("http://localhost:8080/v1", False),
        ("api.groq.com/openai/v1", False),
    ],
)
def test_the_host_tells_whose_requests_are_of_the_day(base_url: str, *, daily: bool) -> None:
    """A codec at Groq's address reads the request limit as the day's, from the first answer on."""
    assert counts_requests_per_day(base_url) is daily
    codec = OpenAICompatibleCodec(base_url, None, now=lambda: NOW)
    evidence = codec.read(tier(), raw(b"", 429, openai_headers("requests", "1000", "1000"))).evidence
    assert evidence.allowances == (left("rpd" if daily else "rpm", 1000, 1000),)


ANY_NAME = st.sampled_from(sorted({*OPENAI, *CEREBRAS, *MISTRAL, *MISTRAL_OLDER, *ANTHROPIC}))
NUMBERS = st.integers(-5, 10**14).map(str) | st.floats().map(str)
DURATIONS = st.lists(st.tuples(NUMBERS, st.sampled_from(["h", "m", "s", "ms", "us", "ns"])), max_size=4).map(
    lambda parts: "".join(number + unit for number, unit in parts)
)
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
DATES = st.datetimes(timezones=st.just(UTC)).map(lambda moment: f"{moment:%a, %d %b %Y %H:%M:%S} GMT")
ANY_VALUE = NUMBERS | DURATIONS | MOMENTS | DATES | st.text(max_size=30)


@given(
    headers=st.dictionaries(ANY_NAME, ANY_VALUE),
    now=st.datetimes(timezones=st.just(UTC)),
    requests_per_day=st.booleans(),
)
def test_whatever_is_sent_every_field_is_in_range_or_unknown(
    headers: dict[str, str], now: datetime, *, requests_per_day: bool
) -> None:
    """Nothing raises, no limit comes twice, and no number is outside what a bucket can take."""
    allowances = read(headers, now=now, requests_per_day=requests_per_day)
    names = [allowance.name for allowance in allowances]
    assert len(set(names)) == len(names)
    assert set(names) <= set(get_args(LimitName))
    for allowance in allowances:
        assert allowance.limit is not None or allowance.remaining is not None
        assert 0 <= (allowance.limit or 0) <= 10**12
        assert 0 <= (allowance.remaining or 0) <= (10**12 if allowance.limit is None else allowance.limit)
        assert 0 <= (allowance.reset_s or 0.0) <= MONTH_S


def test_every_answer_carries_its_allowances() -> None:
    """Buckets learn from what was refused as from what was answered."""
    for status in (200, 429, 500):
        assert openai().read(tier(), raw(b"{}", status, OPENAI)).evidence.allowances == read(OPENAI)
