"""Keys that are renewed in their files."""

import os
from pathlib import Path
from typing import Any

import pytest
from provider_samples import ask
from structlog.testing import capture_logs

from pointsman_routes import KeyMissing, Provider
from pointsman_worker.api_keys import ApiKey, read_key
from pointsman_worker.codec_shelf import CodecShelf
from pointsman_worker.providers import WireRequest


class _Clock:
    """Seconds a test lets pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _provider(name: str, **key: str) -> Provider:
    fields: dict[str, Any] = {"kind": "openai", "owner": "me", "api_key": key, "tiers": {"t": {"model": "m"}}}
    return Provider.model_validate({"name": name, **fields})


@pytest.fixture
def clock() -> _Clock:
    """A clock at zero."""
    return _Clock()


@pytest.fixture
def renewed() -> list[Provider]:
    """Those the shelf has told of."""
    return []


@pytest.fixture
def shelf(tmp_path: Path, clock: _Clock, renewed: list[Provider]) -> CodecShelf:
    """A provider whose key is in a file, and one whose key is in the environment."""
    (tmp_path / "key").write_text("first-key-in-the-file\n")
    environ = {"K": "key-of-the-environment"}

    def read(provider: Provider) -> ApiKey | None:
        return read_key(provider.api_key, environ, tmp_path)

    providers = [_provider("filed", file="key"), _provider("named", env="K")]
    return CodecShelf(providers, read, tmp_path, renewed=renewed.append, clock=clock)


def _sent(shelf: CodecShelf, name: str) -> str:
    request = shelf[name].build(ask())
    assert isinstance(request, WireRequest)
    return request.headers["authorization"]


def test_a_renewed_file_is_the_next_calls_key(shelf: CodecShelf, tmp_path: Path, clock: _Clock) -> None:
    """Within a second of a file's change, calls carry the new key; another provider's key stays."""
    assert _sent(shelf, "filed") == "Bearer first-key-in-the-file"
    (tmp_path / "key").write_text("second-key-in-the-file\n")
    clock.now = 1.0
    with capture_logs() as logs:
        assert _sent(shelf, "filed") == "Bearer second-key-in-the-file"
        assert _sent(shelf, "named") == "Bearer key-of-the-environment"
    assert [(entry["event"], entry["provider"]) for entry in logs] == [("worker.key_renewed", "filed")]
    assert "second-key" not in str(logs)


def test_a_renewal_is_told_once(shelf: CodecShelf, tmp_path: Path, clock: _Clock, renewed: list[Provider]) -> None:
    """Whoever listens is told which provider's key has become another one, each time, and is not given the key."""
    assert _sent(shelf, "filed")
    assert renewed == []
    for number, key in enumerate(("second-key-in-the-file", "first-key-in-the-file"), start=1):
        (tmp_path / "key").write_text(key)
        for wait in (0.0, 1.5):
            clock.now = 10 * number + wait
            assert _sent(shelf, "filed") == f"Bearer {key}"
        assert [provider.name for provider in renewed] == ["filed"] * number


def test_the_same_key_once_more_is_no_renewal(
    shelf: CodecShelf, tmp_path: Path, clock: _Clock, renewed: list[Provider]
) -> None:
    """A file written anew with what was in it, a line break more or less, changes nothing and is told to nobody."""
    codec = shelf["filed"]
    (tmp_path / "new").write_text("first-key-in-the-file")
    (tmp_path / "new").replace(tmp_path / "key")
    clock.now = 1.0
    with capture_logs() as logs:
        assert shelf["filed"] is codec
    assert logs == []
    # It has been read, and is not read again until it changes.
    stamp = (tmp_path / "key").stat()
    (tmp_path / "key").write_text("other-key-in-the-file")
    os.utime(tmp_path / "key", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    clock.now = 2.0
    assert shelf["filed"] is codec
    assert renewed == []


def test_it_looks_once_a_second(shelf: CodecShelf, tmp_path: Path, clock: _Clock) -> None:
    """A thousand calls a second are no thousand looks at a file."""
    (tmp_path / "key").write_text("second-key-in-the-file\n")
    clock.now = 0.9
    assert _sent(shelf, "filed") == "Bearer first-key-in-the-file"


@pytest.mark.parametrize("content", ["", "two words\n", None])
def test_a_file_without_a_key_changes_nothing(
    shelf: CodecShelf, tmp_path: Path, clock: _Clock, renewed: list[Provider], content: str | None
) -> None:
    """A file that is gone or half written leaves the key as it was; what is then written is taken."""
    path = tmp_path / "key"
    path.unlink() if content is None else path.write_text(content)
    clock.now = 1.0
    assert _sent(shelf, "filed") == "Bearer first-key-in-the-file"
    assert renewed == []
    path.write_text("third-key-in-the-file")
    clock.now = 2.0
    assert _sent(shelf, "filed") == "Bearer third-key-in-the-file"


def test_every_key_must_be_there_at_first(tmp_path: Path) -> None:
    """A worker does not begin without a key, and says which is missing."""
    with pytest.raises(KeyMissing, match="cannot be read"):
        CodecShelf([_provider("filed", file="gone")], lambda p: read_key(p.api_key, {}, tmp_path), tmp_path)


def test_it_is_a_mapping(shelf: CodecShelf) -> None:
    """By name, in the order of the providers."""
    assert list(shelf) == ["filed", "named"]
    assert len(shelf) == 2
    with pytest.raises(KeyError):
        shelf["other"]
