"""Database roles: what each may do to the ledger's tables, and no more. PostgreSQL only: SQLite has none.

    recorder    appends records, keeps content and what is under way; changes and removes no record
    auditor     reads, but not what was asked and answered
    operator    reads as an auditor does; erases content, and appends the records of what it does

Weakness: whoever owns the tables, and every superuser, can drop the triggers and do anything; against them stand the
chain and the checkpoints that are kept elsewhere. So they are no roles to record with, and are refused here. What a
role may do as a member of another one, or because everybody may, is not looked into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from .errors import RoleUnfit
from .schema import VERSION_TABLE, metadata

_CONTENT = "content"
_READ = frozenset({"SELECT"})
_ADD = frozenset({"SELECT", "INSERT"})
_ALL = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
_NOT_CONTENT: Mapping[str, frozenset[str]] = {
    VERSION_TABLE: _READ,
    **{table: _READ for table in metadata.tables if table != _CONTENT},
}
_RECORDER: Mapping[str, frozenset[str]] = {
    VERSION_TABLE: _READ,
    **dict.fromkeys(("records", "facets", "policies", "quarantine"), _ADD),
    "ledger_head": frozenset({"SELECT", "UPDATE"}),
    "outbox_cursor": frozenset({"SELECT", "INSERT", "UPDATE"}),
    **dict.fromkeys((_CONTENT, "open_jobs", "open_attempts"), _ALL),
}
_OPERATOR: Mapping[str, frozenset[str]] = {
    **_NOT_CONTENT,
    **dict.fromkeys(("records", "facets"), _ADD),
    "ledger_head": frozenset({"SELECT", "UPDATE"}),
    # Whose content it is, not what it says: that is all it takes to erase it.
    _CONTENT: frozenset({"SELECT (job_id, task_class, subject, stored_at, expires_at)", "DELETE"}),
}

_MIGHTY = text("""
SELECT pg_has_role(rolname, coalesce(
         (SELECT relowner FROM pg_class WHERE oid = to_regclass('records')),
         (SELECT oid FROM pg_roles WHERE rolname = current_user)), 'MEMBER')
    OR pg_has_role(rolname, (SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()), 'MEMBER')
FROM pg_roles WHERE rolname = :name""")
"""Whether a role is as good as the owner of the tables, present or future, or of their schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Names of roles that are there, by what they are to do; one may do several things."""

    recorder: str | None = None
    auditor: str | None = None
    operator: str | None = None
    auditor_sees_content: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Every role once."""
        return tuple(dict.fromkeys(name for name in (self.recorder, self.auditor, self.operator) if name is not None))

    def rights(self, role: str) -> Mapping[str, frozenset[str]]:
        """What a role may do, by table."""
        wanted: dict[str, frozenset[str]] = {}
        for table, rights in self._granted(role):
            wanted[table] = wanted.get(table, frozenset()) | rights
        return wanted

    def _granted(self, role: str) -> Iterator[tuple[str, frozenset[str]]]:
        if role == self.recorder:
            yield from _RECORDER.items()
        if role == self.auditor:
            yield from _NOT_CONTENT.items()
            if self.auditor_sees_content:
                yield _CONTENT, _READ
        if role == self.operator:
            yield from _OPERATOR.items()


def require_fit(connection: Connection, roles: Roles) -> None:
    """See that the roles can be held to their rights, before anything is done.

    Raises:
        RoleUnfit: if one is not there, or is a superuser, the owner of the ledger or one who may become that.
    """
    if connection.dialect.name != "postgresql":
        raise RoleUnfit("SQLite has no roles; whoever may write to the ledger's file may do anything to it")
    for name in roles.names:
        found = connection.execute(_MIGHTY, {"name": name}).scalar()
        quoted = _quoted(connection, name)
        if found is None:
            raise RoleUnfit(f"there is no role {quoted}; make it with CREATE ROLE {quoted} LOGIN")
        if found:
            raise RoleUnfit(
                f"the role {quoted} owns the ledger or is a superuser, so it could change what is recorded; "
                "make another with CREATE ROLE ... LOGIN"
            )


def grant(connection: Connection, roles: Roles) -> None:
    """Give roles their rights to the ledger's tables and take every other from them. Run by the tables' owner."""
    schema = _quoted(connection, str(connection.execute(text("SELECT current_schema()")).scalar()))
    counter = connection.execute(text("SELECT pg_get_serial_sequence('quarantine', 'id')")).scalar()
    tables = [VERSION_TABLE, *metadata.tables]
    for name in roles.names:
        role = _quoted(connection, name)
        connection.exec_driver_sql(f"REVOKE ALL ON {', '.join(tables)} FROM {role}")
        connection.exec_driver_sql(f"REVOKE ALL ON SEQUENCE {counter} FROM {role}")
        connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        for table, rights in roles.rights(name).items():
            connection.exec_driver_sql(f"GRANT {', '.join(sorted(rights))} ON {table} TO {role}")
        if name == roles.recorder:
            connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {counter} TO {role}")


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote_identifier(name)
