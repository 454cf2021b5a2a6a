"""The demo's jobs and configuration."""

from pathlib import Path

import pytest

from pointsman_console.demo_config import KEY_NAMES, config_text, demo_settings, made_up_keys
from pointsman_console.demo_jobs import reasoning_jobs, synthesis_jobs, triage_jobs
from pointsman_console.demo_scenes import (
    AFTER_SWITCH,
    BACK_AGAIN,
    BEFORE_OUTAGE,
    BEFORE_SWITCH,
    CUT_JOBS,
    DURING_OUTAGE,
    FAST,
    HOUSE,
    STRONG,
    THROTTLED_JOBS,
)
from pointsman_routes import Job, RouteTable, read_route_table

_URLS = {
    "openai": "http://127.0.0.1:1/v1",
    "anthropic": "http://127.0.0.1:2/anthropic",
    "local": "http://127.0.0.1:3/v1",
}


def _table() -> RouteTable:
    return read_route_table(config_text(_URLS), Path("pointsman.toml"))


def _jobs() -> list[Job]:
    return [
        *triage_jobs(THROTTLED_JOBS),
        *triage_jobs(CUT_JOBS, first=THROTTLED_JOBS + 1),
        *reasoning_jobs(BEFORE_OUTAGE + DURING_OUTAGE),
        *synthesis_jobs(BEFORE_SWITCH + AFTER_SWITCH + BACK_AGAIN),
    ]


def test_jobs_are_as_many_as_the_readme_says() -> None:
    """The scenes together ask 150 times."""
    assert len(_jobs()) == 150


def test_no_two_jobs_ask_the_same() -> None:
    """A vendor's request can be told to its job by its prompt alone, and every job has a name of its own."""
    jobs = _jobs()
    assert len({job.messages[-1].text for job in jobs}) == len(jobs)
    assert len({job.custom_id for job in jobs}) == len(jobs)


def test_notes_of_a_job_differ() -> None:
    """A job that sums up three notes has three different ones."""
    for job in synthesis_jobs(200):
        notes = job.messages[-1].text.splitlines()[1:]
        assert len(set(notes)) == 3, job.custom_id


def test_configuration_is_valid_and_shows_the_policies() -> None:
    """Three classes over three tiers of three providers, one of them below a floor by name, one bound to regions."""
    table = _table()
    assert set(table.classes) == {job.task_class for job in _jobs()}
    assert list(table.tiers) == [FAST, STRONG, HOUSE]
    assert {name: table.providers[name].base_url for name in _URLS} == _URLS
    assert table.downgraded(table.classes["reasoning"], HOUSE)
    assert "us" not in (table.classes["synthesis"].regions or ())


def test_configuration_names_every_key_and_holds_none() -> None:
    """Keys are made up anew each time, and only their names stand in the file."""
    named = {source.env for provider in _table().providers.values() if (source := provider.api_key) is not None}
    assert named == set(KEY_NAMES) == set(made_up_keys())
    assert made_up_keys() != made_up_keys()


def test_settings_lead_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment names, the demo touches its own folder only."""
    for name in ("CONFIG", "REDIS_URL", "LEDGER_URL", "HOME"):
        monkeypatch.setenv(f"POINTSMAN_{name}", "somewhere/else")
    settings = demo_settings(tmp_path)
    assert settings.config == tmp_path / "pointsman.toml"
    assert settings.redis_url is None
    assert settings.effective_ledger_url == f"sqlite:///{tmp_path / 'ledger.db'}"
