"""A monthly report in words and figures: the rows of its tables, the figures above them."""

from hypothesis import given
from report_samples import call, job, reports, sample

from pointsman_audit import MonthlyReport
from pointsman_console.report_heading import provenance, remarks, summary
from pointsman_console.report_sections import Section, sections
from pointsman_console.report_words import second_words, share, usd_words


def by_key(report: MonthlyReport) -> dict[str, Section]:
    """The sections by their keys."""
    return {section.key: section for section in sections(report)}


def test_rows() -> None:
    """Every section says what the report has, dearest or first by name; unknown and nothing are told apart."""
    found = by_key(sample())
    assert found["by_class"].rows == (
        ("triage", "15", "150", "60", "1.234664 + 3 calls unknown", "75.5%"),
        ("synthesis", "3", "30", "12", "0.400000", "24.5%"),
        ("trials (routes test)", "3", "30", "12", "0.000013", "0.1%"),
    )
    assert [row[0] for row in found["by_owner"].rows] == ["ml@example.com", "unknown owner (older records)"]
    assert [row[0] for row in found["by_tier"].rows] == ["openai/fast", "anthropic/large"]
    assert [row[:2] for row in found["by_day"].rows] == [("2026-11-01", "6"), ("2026-11-05", "6"), ("2026-11-07", "9")]
    assert found["billing"].rows == (
        ("counted by the vendor, or not billed", "15", "1.634587"),
        ("may have been billed, estimated", "3", "0.000090"),
        ("cost unknown, in no sum", "3", "-"),
        ("begun and not ended yet, in no sum", "2", "-"),
    )
    assert found["jobs"].columns == ("CLASS", "SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED", "ALL")
    assert found["jobs"].rows == (
        ("synthesis", "0", "0", "1", "0", "1"),
        ("triage", "13", "2", "0", "0", "15"),
        ("all classes", "13", "2", "1", "0", "16"),
    )
    assert found["jobs"].note == "17 jobs were taken in; 1 of them have no end yet."
    assert found["fallbacks"].rows == (("synthesis", "disabled", "1"), ("triage", "overloaded", "3"))
    assert found["moves"].rows == (("openai/fast", "overloaded", "4"),)
    assert found["downgrades"].rows == (("triage", "ollama/small", "3"),)
    assert found["holds"].rows == (("triage", "disabled", "5"),)
    assert found["holds"].note == "3 jobs were held at least once."
    assert found["endings"].rows == (
        ("anthropic/large", "synthesis", "3", "3", "0", "0", "0", "0", "0", "0", "0"),
        ("openai/fast", "trials (routes test)", "3", "0", "3", "0", "0", "0", "0", "0", "0"),
        ("openai/fast", "triage", "15", "3", "0", "0", "3", "3", "3", "3", "0"),
    )
    assert found["errors"].rows == (("refused", "2"), ("expired", "1"))
    assert found["call_latency"].rows == (
        ("anthropic/large", "0", "3", "-", "-"),
        ("openai/fast", "12", "6", "0.800 s", "2.500 s"),
        ("all", "15", "6", "0.700 s", "2.600 s"),
    )
    assert found["job_latency"].rows[-1] == ("all", "16", "0", "1.400 s", "61.000 s")


def test_summary() -> None:
    """The figures above the tables are those of the tables; shares are of the jobs that ended."""
    assert summary(sample()) == [
        ("spent, USD", "1.634677 + 3 calls unknown"),
        ("of it estimates, USD", "0.000090 + 3 calls unknown"),
        ("calls", "21"),
        ("input tokens", "210"),
        ("output tokens", "84"),
        ("jobs taken in", "17"),
        ("jobs ended", "16"),
        ("succeeded", "13 (81.2%)"),
        ("fallbacks", "4 (25.0%)"),
        ("downgraded", "3 (18.8%)"),
        ("refused calls", "3"),
        ("empty answers", "3"),
        ("truncated answers", "0"),
        ("misrouted calls", "3"),
        ("held jobs", "3"),
        ("without an end yet", "jobs 1, calls 2"),
    ]
    assert dict(provenance(sample().frame))["hash of that record"] == "e9" * 32


@given(reports)
def test_sections_of_any_report(report: MonthlyReport) -> None:
    """Every row has as many cells as there are columns; every cell is printable; no section is empty."""
    for section in sections(report):
        assert section.rows
        for row in section.rows:
            assert len(row) == len(section.columns)
            assert all(cell.isprintable() for cell in row)
        assert 1 <= section.names < len(section.columns)


def test_rare_errors_are_counted() -> None:
    """Of many error codes the ten most frequent have a row; of the others it is said how many they are."""
    report = sample(cells=tuple(job(20 - number, error_code=f"e{number}") for number in range(12)))
    errors = by_key(report)["errors"]
    assert [row[0] for row in errors.rows] == [f"e{number}" for number in range(10)]
    assert errors.note == "2 rarer codes, of 19 jobs, are left out."
    assert by_key(sample())["errors"].note is None


def test_nothing_known() -> None:
    """Where nothing is known of the money it is no zero, and no section says it is."""
    found = by_key(sample(cells=(call(0, None),)))
    assert found["by_class"].rows == (("triage", "3", "30", "12", "3 calls unknown", "-"),)
    assert found["billing"].rows[0] == ("counted by the vendor, or not billed", "0", "-")
    assert found["billing"].rows[2] == ("cost unknown, in no sum", "3", "-")
    assert (usd_words(None), second_words(None)) == (None, None)


def test_share() -> None:
    """A little is never nothing, and nearly all is never all."""
    assert [share(*parts) for parts in ((0, 5), (5, 5), (1, 10**6), (999_999, 10**6), (1, 3), (1, 0), (7, 5))] == [
        "-",
        "100%",
        "0.1%",
        "99.9%",
        "33.3%",
        "-",
        "100%",
    ]


def test_remarks_on_an_ordinary_month() -> None:
    """A month that is over and has records needs no remark."""
    assert remarks(sample().frame, 5) == []
