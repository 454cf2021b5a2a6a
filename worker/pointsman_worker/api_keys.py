"""API keys: read from where the configuration says they are, and kept out of everything printed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pointsman_routes import KeyMissing, KeySource, Provider

_LONGEST: Final = 8192
"""Bytes; no vendor's key comes near it, so a longer file is not a key."""


class ApiKey:
    """A secret that shows itself only to who asks for it by name.

    It keeps the secret out of logs, tracebacks and records. It does not defend it against code that looks
    for it in memory.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        """The key itself: for the header of a request, and to find it in a text that must not show it."""
        return self._secret

    def __repr__(self) -> str:
        return "ApiKey(********)"

    def __eq__(self, other: object) -> bool:
        return self._secret == other._secret if isinstance(other, ApiKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._secret)


def read_key(source: KeySource | None, environ: Mapping[str, str], base: Path) -> ApiKey | None:
    """Read a provider's key.

    Args:
        source: where it is; None for a server that asks for no key.
        environ: the environment.
        base: the folder a relative file name starts from, the one the configuration is in.

    Returns:
        The key, or None when there is no source. One line break at the end of a file is not part of the key.

    Raises:
        KeyMissing: nothing is there, or what is there cannot be a key. Names the variable or the file, never
            what is in it.
    """
    if source is None:
        return None
    if source.env is not None:
        place = f"the environment variable {source.env}"
        if source.env not in environ:
            raise KeyMissing(f"{place} is not set")
        return ApiKey(_checked(environ[source.env], place))
    path = base / (source.file or "")
    place = f"the key file {path}"
    return ApiKey(_checked(_read_file(path, place), place))


def key_problem(provider: Provider, environ: Mapping[str, str], base: Path) -> str | None:
    """Why the provider's key cannot be read, or None; for `check_surroundings`."""
    try:
        read_key(provider.api_key, environ, base)
    except KeyMissing as problem:
        return str(problem)
    return None


def _read_file(path: Path, place: str) -> str:
    try:
        # A pipe would wait for a writer, a device would never end.
        if path.exists() and not path.is_file():
            raise KeyMissing(f"{place} is not a regular file")
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a possible file name"
        raise KeyMissing(f"{place} cannot be read: {reason}") from None
    # Latin-1 accepts every byte; what is not ASCII is refused with the rest.
    return content.decode("latin-1").removesuffix("\n").removesuffix("\r")


def _checked(key: str, place: str) -> str:
    if not key.strip():
        raise KeyMissing(f"{place} is empty")
    if len(key) > _LONGEST:
        raise KeyMissing(f"{place} is longer than {_LONGEST} characters; it should hold nothing but the key")
    if any(character.isspace() for character in key):
        raise KeyMissing(f"{place} has white space or a line break in the key")
    if not (key.isascii() and key.isprintable()):
        raise KeyMissing(f"{place} has characters that no HTTP header may carry; write plain ASCII")
    return key
