"""The table of names in docs/exporting.md, made from the code: `python tests/exporting_page.py` prints it."""

from pointsman_audit.semantic_names import (
    ERROR,
    HASH,
    KIND,
    OPERATION,
    OTHER,
    PROVIDER,
    SEQ,
    TIMESTAMP,
    Form,
    columns_of,
)
from pointsman_routes import RecordKind

_TYPES = {
    Form.TEXT: ("text", "string"),
    Form.INTEGER: ("whole number", "int64"),
    Form.NUMBER: ("number", "double"),
    Form.FLAG: ("true, false", "bool"),
    Form.MOMENT: ("ISO 8601", "timestamp[us, UTC]"),
    Form.TEXTS: ("JSON", "list of string"),
    Form.STEPS: ("JSON", "list of struct"),
    Form.OBJECT: ("JSON", "string of JSON"),
}
_MADE = {
    TIMESTAMP: "the record's own time",
    SEQ: "`seq`",
    KIND: "`kind`",
    OPERATION: "by the provider's kind",
    PROVIDER: "by the provider's kind",
    ERROR: "`error_code`; of a call its `outcome`, where that is neither ok nor truncated",
    HASH: "SHA-256 of the record",
    OTHER: "what has no column",
}
_EVERYWHERE = "all"


def table() -> str:
    """Every column: its name, the field it is of, what it holds in CSV and in Parquet, and which kinds have it."""
    kinds: dict[str, list[str]] = {}
    fields: dict[str, list[str]] = {}
    forms: dict[str, Form] = {}
    for kind in RecordKind:
        for column in columns_of(kind):
            forms[column.name] = column.form
            kinds.setdefault(column.name, []).append(kind.value)
            if column.field is not None and column.field not in fields.setdefault(column.name, []):
                fields[column.name].append(column.field)
    lines = ["| name | field | in CSV | in Parquet | of |", "|---|---|---|---|---|"]
    for name in sorted(forms):
        field = _MADE.get(name) or ", ".join(f"`{one}`" for one in fields[name])
        of = _EVERYWHERE if len(kinds[name]) == len(RecordKind) else ", ".join(kinds[name])
        lines.append(f"| `{name}` | {field} | {' | '.join(_TYPES[forms[name]])} | {of} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
