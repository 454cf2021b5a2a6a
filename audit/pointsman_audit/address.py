"""Where the ledger is: the URL a person writes, checked, and fit to be shown."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from .errors import LedgerUrlInvalid

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql", "postgres")
_REMEDY = "write sqlite:///path/to/ledger.db or postgresql://user:password@host/database"
_HIDDEN = "***"
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_SYSTEM = "system"
"""What `sslrootcert` says for the certificates that the system trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAddress:
    """A ledger's URL, taken apart.

    `sqlite:///path` takes everything after the third slash as the path, literally: nothing in it is decoded and
    a question mark is part of the name. `postgresql://` (or `postgres://`) is a libpq URI, with its `sslmode`,
    `host` and other options; the driver reads it.
    """

    shown: str
    """The URL without its password and options, for messages and logs."""
    path: Path | None = None
    """The SQLite file; None for PostgreSQL."""
    dsn: str | None = field(default=None, repr=False)
    """The PostgreSQL URI with its password; None for SQLite."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What must not be in any message."""
    files: Mapping[str, Path] = field(default_factory=dict, repr=False)
    """Files that PostgreSQL's URL names, by option."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart.

        Raises:
            LedgerUrlInvalid: if it is neither of the two forms. The message does not repeat the URL.
        """
        if "\0" in url:
            raise LedgerUrlInvalid(f"the ledger's URL cannot be read; {_REMEDY}")
        if url.startswith(_SQLITE):
            return cls._sqlite(url.removeprefix(_SQLITE))
        scheme = url.partition("://")[0]
        if scheme not in _POSTGRESQL:
            raise LedgerUrlInvalid(f"the ledger's URL is of no known kind; {_REMEDY}")
        try:
            return cls._postgresql(url, urlsplit(url))
        except ValueError:
            # Not chained: urllib's message may repeat the part that holds the password.
            raise LedgerUrlInvalid(f"the ledger's URL cannot be read; {_REMEDY}") from None

    @classmethod
    def _sqlite(cls, name: str) -> Self:
        if not name or name == ":memory:":
            raise LedgerUrlInvalid("a ledger in memory would be lost; write sqlite:///path/to/ledger.db")
        path = Path(name).absolute()
        return cls(shown=f"{_SQLITE}{path}", path=path)

    @classmethod
    def _postgresql(cls, url: str, parts: SplitResult) -> Self:
        if not parts.path.strip("/"):
            raise LedgerUrlInvalid("the ledger's URL names no database; write postgresql://user:password@host/database")
        # Not `hostname` and `port`: libpq takes several hosts, of which the first that answers is used.
        login, _, hosts = parts.netloc.rpartition("@")
        for host in hosts.split(","):
            _check_host(urlsplit(f"//{host}"))
        user, _, password = login.partition(":")
        options = parse_qs(parts.query)
        written = [secret for secret in (password, *options.get("password", ())) if secret]
        secrets = (url, *written, *(unquote(secret) for secret in written))
        shown = f"postgresql://{user}{'@' if user else ''}{hosts}{parts.path}"
        files = {name: Path(options[name][-1]) for name in _FILES if name in options}
        return cls(shown=shown, dsn=url, secrets=secrets, files=files)

    def require_files(self) -> None:
        """See that the files are there which the URL names for TLS; the driver does not say which one it misses.

        Raises:
            LedgerUrlInvalid: if one is not.
        """
        for name, path in self.files.items():
            if not path.is_file() and str(path) != _SYSTEM:
                raise LedgerUrlInvalid(f"the ledger's URL names a file that is not there: {name}={path}; correct it")

    def redact(self, text: str) -> str:
        """The text with every secret of this URL struck out."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, _HIDDEN)
        return text

    def __str__(self) -> str:
        return self.shown


def _check_host(host: SplitResult) -> None:
    """See that a name can be looked up and a port is a number that a port can be; ValueError if not."""
    (host.hostname or "").encode("idna")
    _ = host.port
