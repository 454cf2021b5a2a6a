"""The ledger's URL: what is understood, and that its password is never shown."""

from pathlib import Path

import pytest

from pointsman_audit import Ledger, LedgerUrlInvalid
from pointsman_audit.address import LedgerAddress


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////var/lib/ledger.db", Path("/var/lib/ledger.db")),
        ("sqlite:///ledger.db", Path.cwd() / "ledger.db"),
        ("sqlite:////var/50%25 off?.db", Path("/var/50%25 off?.db")),
    ],
)
def test_sqlite_path_is_literal(url: str, path: Path) -> None:
    """Everything after the third slash is the path; nothing in it is decoded."""
    address = LedgerAddress.parse(url)
    assert address.path == path
    assert address.dsn is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ana:s3cret@db.example:5433/audit", "postgresql://ana@db.example:5433/audit"),
        ("postgres://ana:s3cret@db.example/audit?sslmode=require", "postgresql://ana@db.example/audit"),
        ("postgresql://db.example/audit?user=ana&password=s3cret", "postgresql://db.example/audit"),
        ("postgresql://ana:s3cret@[::1]:5433/audit", "postgresql://ana@[::1]:5433/audit"),
        ("postgresql://ana:s3cret@/audit?host=/run/postgresql", "postgresql://ana@/audit"),
        ("postgresql://ana:s3cret@one:5433,[::1],two/audit", "postgresql://ana@one:5433,[::1],two/audit"),
    ],
)
def test_password_is_not_shown(url: str, shown: str) -> None:
    """Neither the shown URL, nor the address's own text, nor a redacted message has the password."""
    address = LedgerAddress.parse(url)
    assert str(address) == shown
    assert address.dsn == url
    assert "s3cret" not in repr(address)
    assert "s3cret" not in address.redact(f"cannot log in with s3cret at {url}")


def test_decoded_password_is_redacted() -> None:
    """A password written with escapes is struck out as the server would repeat it, too."""
    address = LedgerAddress.parse("postgresql://ana:p%40ss@db.example/audit")
    assert address.redact("p@ss p%40ss") == "*** ***"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://ana:s3cret@db.example/audit",
        "postgresql://ana:s3cret@db.example",
        "postgresql://ana:s3cret@db.example/",
        "postgresql://ana:s3cret@db.example:port/audit",
        "postgresql://ana:s3cret@[::1/audit",
        "postgresql://ana:s3cret@db.example:70000/audit",
        "postgresql://ana:s3cret@db.example,other:port/audit",
        f"postgresql://ana:s3cret@{'x' * 300}.example/audit",
        "postgresql://ana:s3cret@db.example/au\0dit",
        "postgresql+asyncpg://ana:s3cret@db.example/audit",
        "sqlite:///led\0ger.db",
        "sqlite://ledger.db",
        "file:ledger.db",
    ],
)
def test_unusable_url_is_refused(url: str) -> None:
    """A URL that names no database is refused in one line that does not repeat it."""
    with pytest.raises(LedgerUrlInvalid) as refused:
        Ledger(url)
    message = str(refused.value)
    assert "\n" not in message
    assert "s3cret" not in message
    assert "sqlite:///path" in message or "postgresql://user:password@host/database" in message
    # urllib's own words repeat what it was given.
    assert refused.value.__cause__ is None
    assert refused.value.exit_code == 2


def test_files_that_are_named(tmp_path: Path) -> None:
    """A file for TLS that the URL names and that is not there is said by name, with its option; the others are not."""
    (tmp_path / "there.crt").touch()
    base = "postgresql://ana:s3cret@db.example/audit?sslmode=verify-full&sslrootcert="
    LedgerAddress.parse("postgresql://ana@db.example/audit").require_files()
    LedgerAddress.parse(f"{base}{tmp_path}/there.crt").require_files()
    LedgerAddress.parse(f"{base}system").require_files()
    with pytest.raises(LedgerUrlInvalid, match=r"sslkey=/no/where\.key; correct it") as refused:
        LedgerAddress.parse(f"{base}{tmp_path}/there.crt&sslkey=/no/where.key").require_files()
    assert "s3cret" not in str(refused.value)
