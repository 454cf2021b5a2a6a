"""What a claim needs to know of a tier, and what a provider may say of its limits."""

import json
from datetime import UTC, datetime

import pytest
from queue_cases import BACKUP, MAIN, RATE, SIDE, make_profile, make_table

from pointsman_queue import TierProfile
from pointsman_routes import ConfigError, CountedTokens, LearnLimits


def test_where_jobs_may_go() -> None:
    """Those after a tier on the route come first, then those before it; a class with one tier goes nowhere."""
    assert make_profile(MAIN).others == {"triage": (BACKUP, SIDE)}
    assert make_profile(SIDE).others == {"triage": (MAIN, BACKUP)}
    assert make_profile(BACKUP).least_spill_ms == 300_000


def test_classes_it_may_not_serve_are_not_its_own() -> None:
    """Only classes that may be served here have a hop, and only tiers that may serve them are ways out."""
    table = make_table()
    assert make_profile(MAIN, table).hops == {"triage": 0, "solo": 0}
    assert make_profile(SIDE, table).hops == {"triage": 2}
    in_eu = {name: entry.model_copy(update={"regions": ("eu",)}) for name, entry in table.classes.items()}
    table = table.model_copy(update={"classes": in_eu})
    assert make_profile(MAIN, table).others == {"triage": (SIDE,)}
    backup = make_profile(BACKUP, table)
    assert (backup.hops, backup.others, backup.least_spill_ms) == ({}, {}, None)


def test_what_records_say_of_a_tier() -> None:
    """Every record of a tier names it and the policy; those of calls also who is asked, and who answers for the key."""
    table = make_table()
    profile, removed = make_profile(MAIN, table), TierProfile.of_removed(table, "alpha/gone", RATE)
    assert json.loads("{" + profile.names + "}") == {"tier": MAIN, "policy_digest": table.policy_digest}
    assert json.loads("{" + profile.call_names + "}") == {
        "provider": "alpha",
        "owner": "team@example.com",
        "model": "a-large",
        "region": "eu",
    }
    assert json.loads("{" + removed.names + "}") == {"tier": "alpha/gone", "policy_digest": table.policy_digest}
    assert json.loads("{" + removed.call_names + "}") == {
        "provider": "alpha",
        "owner": None,
        "model": "unknown",
        "region": None,
    }


def test_limits_as_gates_keep_them() -> None:
    """A gate is told the limits that are set, and how to keep to them; the account also its tiers."""
    table = make_table(main={"rpm": 60, "concurrency": 3}, account={"tpm": 9}, provider={"learn_limits": "down"})
    own, account = (json.loads(text) for text in make_profile(MAIN, table).confs(-28_800))
    common = {"burst_s": 1.0, "learn": "down", "counts": "used", "zone_s": -28_800}
    breaker = {"window_ms": 60_000, "least": 10, "rate": 0.5, "open_ms": 10_000}
    assert own == {"rpm": 60, "concurrency": 3, "breaker": breaker, **common}
    assert account == {"tpm": 9, **common, "tiers": [MAIN, SIDE]}


@pytest.mark.parametrize(("month", "hours"), [(1, -8), (7, -7)])
def test_summer_time(month: int, hours: int) -> None:
    """The vendor's midnight is where its clock says, summer and winter."""
    profile = make_profile(MAIN, make_table(provider={"timezone": "America/Los_Angeles"}))
    assert profile.zone_s(datetime(2026, month, 15, 12, tzinfo=UTC)) == hours * 3600


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_no_such_zone(name: str) -> None:
    """What is no time zone is a mistake in the configuration, in one line that says what to write."""
    with pytest.raises(ConfigError) as caught:
        make_table(provider={"timezone": name})
    (problem,) = caught.value.problems
    assert problem.path == "providers.alpha.timezone"
    assert "IANA" in problem.remedy


def test_what_a_vendor_counts() -> None:
    """OpenAI counts max_tokens, a compatible server what is used, unless the configuration knows better."""
    provider = make_table().providers["alpha"]
    assert (provider.counts, provider.learn_limits) == (CountedTokens.USED, LearnLimits.BOTH)
    key = {"env": "KEY"}
    openai = make_table(provider={"kind": "openai", "api_key": key}).providers["alpha"]
    told = make_table(provider={"counted_tokens": "max_tokens"}).providers["alpha"]
    assert {openai.counts, told.counts} == {CountedTokens.MAX_TOKENS}


@pytest.mark.parametrize("limits", [{"rpm": -1}, {"rpm": 10**13}, {"tpm": 1.5}, {"rpd": "many"}])
def test_limits_nobody_can_keep(limits: dict[str, int]) -> None:
    """A negative, gigantic or broken limit is a mistake that names its key."""
    with pytest.raises(ConfigError) as caught:
        make_table(main=limits)
    assert [problem.path.startswith("providers.alpha.tiers.main.limits.") for problem in caught.value.problems] == [
        True
    ]
