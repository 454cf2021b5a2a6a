"""The policy digest: the same for the same policy however it is written, another for any change."""

import hashlib
import json
import tomllib
from pathlib import PurePath
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from route_cases import make_table, raw_table

from pointsman_routes import build_route_table, job_id_for, read_route_table, salted_digest

ONE_WAY = """
[providers.alpha]
kind = "openai"
owner = "team@example.com"
api_key = { env = "ALPHA_KEY" }
base_url = "https://example.com/v1"
[providers.alpha.tiers.main]
model = "a-large"
quality = 1
timeout = "90s"
price = { input = 2.50, output = 10.0, cached_input = 100 }
limits = { rpm = 5_000, tpm = 0 }
[classes.triage]
route = ["alpha/main"]
deadline = "1h"
"""

ANOTHER_WAY = """
# the same, by somebody with other habits
classes.triage = { deadline = "60m", route = [ "alpha/main", ] }
[providers]
  [providers.alpha.tiers."main"]
  limits.rpm = 5000
  price.output = 10
  price.cached_input = 100.0
  price.input = 2.5
  timeout = "1m 30s"
  model = 'a-large'
  quality = 1.0
  [providers.alpha]
  api_key.env = "ALPHA_KEY"
  owner = "team@example.com"
  base_url = "https://example.com/v1/"
  kind = "openai"
"""


def test_writing_does_not_matter() -> None:
    """Order, layout, comments, units and trailing zeros do not change the digest."""
    assert tomllib.loads(ONE_WAY) != tomllib.loads(ANOTHER_WAY)
    first = read_route_table(ONE_WAY, PurePath("a.toml"))
    second = read_route_table(ANOTHER_WAY, PurePath("b.toml"))
    assert first.policy_digest == second.policy_digest


def test_writing_a_default_does_not_matter() -> None:
    """A default written out is the same policy as the default left out."""
    written = make_table(task_class={"max_attempts": 6, "on_refused": "fail"}, tier={"timeout": "60s"})
    assert written.policy_digest == make_table().policy_digest


CHANGES: list[dict[str, dict[str, Any]]] = [
    {"provider": {"owner": "other@example.com"}},
    {"provider": {"api_key": {"env": "OTHER_KEY"}}},
    {"provider": {"base_url": "https://example.com/v1"}},
    {"provider": {"region": "us"}},
    {"provider": {"region": None}},
    {"provider": {"retention_days": 31}},
    {"provider": {"limits": {"rpm": 1}}},
    {"tier": {"model": "a-larger"}},
    {"tier": {"served_as": ["a-large-x"]}},
    {"tier": {"quality": 0.91}},
    {"tier": {"context_window": 100_001}},
    {"tier": {"limits": {"concurrency": 1}}},
    {"tier": {"burst": "2s"}},
    {"tier": {"timeout": "61s"}},
    {"tier": {"price": {"input": 1, "output": 2}}},
    {"tier": {"price": {"input": 1, "output": 2.000001}}},
    {"task_class": {"route": ["beta/main", "alpha/main"]}},
    {"task_class": {"route": ["alpha/main"]}},
    {"task_class": {"quality_floor": 0.1}},
    {"task_class": {"allow_below_floor": ["beta/main"]}},
    {"task_class": {"regions": ["eu", "local"]}},
    {"task_class": {"max_retention_days": 365}},
    {"task_class": {"deadline": "2h"}},
    {"task_class": {"spill_after": "1ms"}},
    {"task_class": {"max_attempts": 5}},
    {"task_class": {"max_tokens": 5}},
    {"task_class": {"on_empty": "fail"}},
    {"task_class": {"on_truncated": "move"}},
    {"task_class": {"on_refused": "move"}},
    {"task_class": {"on_exhausted": "fail"}},
]


def test_any_change_matters() -> None:
    """No two policies that differ in one key share a digest."""
    digests = [make_table(**change).policy_digest for change in [{}, *CHANGES]]
    assert len(set(digests)) == len(digests)


def test_names_matter() -> None:
    """Renaming a provider, a tier or a class is another policy."""
    raw = raw_table()
    raw["classes"]["sorting"] = raw["classes"].pop("triage")
    assert build_route_table(raw).policy_digest != make_table().policy_digest


def test_digest_is_sha256() -> None:
    """A digest is the one any other program computes over the policy's text."""
    table = make_table()
    assert table.policy_digest == hashlib.sha256(table.policy.encode()).hexdigest()
    assert json.loads(table.policy) == table.model_dump(mode="json")


def test_order_does_not_matter() -> None:
    """The order of sections in the file does not change a policy."""
    raw = raw_table()
    other = {key: dict(reversed(raw[key].items())) for key in reversed(raw)}
    assert build_route_table(other).policy == build_route_table(raw).policy


@given(st.text(max_size=40), st.text(max_size=40))
def test_salted_digests(salt: str, text: str) -> None:
    """A salted digest is SHA-256 over salt, line feed and text; another salt makes another digest."""
    assume(salt.isascii() and "\n" not in salt)
    written = f"{salt}\n{text}".encode("utf-8", "replace")
    assert salted_digest(salt, text) == hashlib.sha256(written).hexdigest()
    assert salted_digest(salt + "x", text) != salted_digest(salt, text)


_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(_names, _names, _names, _names)
def test_job_ids_are_one_to_one(batch: str, custom: str, other_batch: str, other_custom: str) -> None:
    """The same batch and custom_id give the same id; any other pair, however it is cut, another one."""
    same = (batch, custom) == (other_batch, other_custom)
    assert (job_id_for(batch, custom) == job_id_for(other_batch, other_custom)) == same


def test_job_id_survives_separators() -> None:
    """No character of a name can stand in for the border between the two."""
    pairs = [("a", "b\nc"), ("a\nb", "c"), ("a", 'b","c'), ('a","b', "c"), ("", "abc"), ("abc", "")]
    ids = {job_id_for(batch, custom) for batch, custom in pairs}
    assert len(ids) == len(pairs)
    assert {len(job_id) for job_id in ids} == {24}
