"""API keys are read whole or not at all, and shown to nobody."""

import os
from pathlib import Path

import pytest

from pointsman_routes import KeyMissing, KeySource, Provider
from pointsman_worker.api_keys import ApiKey, key_problem, read_key

SECRET = "sk-very-secret"


def from_env(value: str | None) -> ApiKey | None:
    """Read a key from a variable of that value."""
    return read_key(KeySource(env="MY_KEY"), {} if value is None else {"MY_KEY": value}, Path())


def test_a_key_shows_itself_only_when_asked() -> None:
    """Neither repr, str nor a format shows it; equality and reveal() do."""
    key = from_env(SECRET)
    assert key is not None
    assert SECRET not in f"{key!r} {key} {[key]} {vars(ApiKey)}"
    assert key.reveal() == SECRET
    assert key == ApiKey(SECRET)
    assert key != ApiKey("other")
    assert key != SECRET
    assert len({key, ApiKey(SECRET)}) == 1


def test_no_source_is_no_key() -> None:
    """Servers on one's own machine ask for none."""
    assert read_key(None, {}, Path()) is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_file_may_end_its_line(tmp_path: Path, ending: str) -> None:
    """Editors end files with a line break; it is not part of the key. Relative to the configuration's folder."""
    (tmp_path / "key").write_text(SECRET + ending, newline="")
    assert read_key(KeySource(file="key"), {}, tmp_path) == ApiKey(SECRET)
    assert read_key(KeySource(file=str(tmp_path / "key")), {}, Path("/nowhere")) == ApiKey(SECRET)


@pytest.mark.parametrize(
    "value",
    [None, "", " ", f"{SECRET}\n", f"{SECRET} {SECRET}", f" {SECRET}", f"{SECRET}ü", f"{SECRET}\x00", "k" * 9000],
)
def test_a_variable_that_cannot_be_a_key_is_refused_by_name(value: str | None) -> None:
    """The message names the variable, never what is in it."""
    with pytest.raises(KeyMissing, match="MY_KEY") as caught:
        from_env(value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"sk-very-secret\n\n", b"sk-very-secret\nmore", b"\xef\xbb\xbfsk-very-secret"]
)
def test_a_file_that_cannot_be_a_key_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """The message names the file, never what is in it."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyMissing, match=r"the key file .*key") as caught:
        read_key(KeySource(file="key"), {}, tmp_path)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("name", ["absent", ".", "pipe", "nul\x00byte"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    """A folder, a pipe that would wait for a writer, and a name no file can have: all are said, none hangs."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KeyMissing, match="the key file"):
        read_key(KeySource(file=name), {}, tmp_path)


def test_a_problem_is_a_sentence_for_the_configuration_check() -> None:
    """None when the key can be read."""
    provider = Provider.model_validate(
        {"kind": "openai", "owner": "me", "api_key": {"env": "MY_KEY"}, "tiers": {"t": {"model": "m"}}}
    )
    assert key_problem(provider, {}, Path()) == "the environment variable MY_KEY is not set"
    assert key_problem(provider, {"MY_KEY": SECRET}, Path()) is None
