"""A record as a row of an export: its fields under the names and in the forms of `semantic_names`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from pointsman_routes import RecordKind

from .moment import LATEST
from .record_pages import Reading, Stored
from .schema import policies
from .semantic_names import (
    ANSWERED,
    ERROR,
    HASH,
    OPERATION,
    OTHER,
    PROVIDER,
    PROVIDER_FIELDS,
    SEQ,
    Form,
    Vendor,
    columns_of,
    vendor,
)

Row = dict[str, Any]
"""Values by the names of columns; plain JSON, moments in microseconds since the epoch. None is what it has not."""
Vendors = Mapping[str, Mapping[str, Vendor]]
"""Who a provider is, by the policy's digest and the provider's configured name."""
_CHAINS_OWN = ("seq", "prev_hash")
_LARGEST = 2**63 - 1


class VendorBook:
    """Who providers were, by the policy a record names; each policy is read once.

    A provider of a policy that the ledger does not have is nobody: a name alone does not tell the vendor.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._known: dict[str, Mapping[str, Vendor]] = {}

    async def of(self, page: Iterable[Mapping[str, Any]]) -> Vendors:
        """The providers of the policies that some records name."""
        named = {digest for record in page if isinstance(digest := record.get("policy_digest"), str)}
        missing = sorted(named - self._known.keys())
        if missing:
            query = select(policies.c.digest, policies.c.policy).where(policies.c.digest.in_(missing))
            async with self._reading() as connection:
                found = (await connection.execute(query)).all()
            self._known.update((row.digest, read_vendors(row.policy)) for row in found)
        return self._known


def read_vendors(policy: str) -> dict[str, Vendor]:
    """Who the providers of a policy are, by their names; of a text that is no policy, nobody."""
    try:
        providers = json.loads(policy)["providers"]
        found = {name: vendor(provider) for name, provider in providers.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {name: one for name, one in found.items() if one is not None}


def row_of(stored: Stored, record: Mapping[str, Any], vendors: Vendors) -> Row:
    """Name a record's fields.

    Args:
        stored: as it stands in the ledger.
        record: its text, read.
        vendors: from a `VendorBook` that has seen the record.
    """
    kind = RecordKind(record["kind"])
    row: Row = {}
    used = set(_CHAINS_OWN)
    for column in columns_of(kind):
        row[column.name] = None
        if column.field is not None:
            value = record.get(column.field)
            if column.field == "finish_reason" and isinstance(value, str):
                value = [value]
            if value is None or _fits(column.form, value):
                row[column.name] = value
                used.add(column.field)
    row[SEQ], row[HASH] = stored.seq, stored.hash
    if kind in PROVIDER_FIELDS:
        known = _vendor(record, PROVIDER_FIELDS[kind], vendors)
        row[PROVIDER], row[OPERATION] = (known.name, known.operation) if known else (None, None)
    outcome = row.get("pointsman.outcome")
    if outcome is not None and outcome not in ANSWERED:
        row[ERROR] = outcome
    row[OTHER] = {name: value for name, value in record.items() if name not in used} or None
    return row


def _vendor(record: Mapping[str, Any], field: str, vendors: Vendors) -> Vendor | None:
    digest, provider = record.get("policy_digest"), record.get(field)
    if not isinstance(digest, str) or not isinstance(provider, str):
        return None
    return vendors.get(digest, {}).get(provider)


def _fits(form: Form, value: Any) -> bool:
    """Whether a value is of a form. The recorder looks only at what goes into the ledger's own columns."""
    match form:
        case Form.TEXT:
            return isinstance(value, str)
        case Form.INTEGER:
            return _whole(value)
        case Form.NUMBER:
            return isinstance(value, float) or _whole(value)
        case Form.FLAG:
            return isinstance(value, bool)
        case Form.MOMENT:
            return _whole(value) and 0 <= value <= LATEST
        case Form.OBJECT:
            return isinstance(value, dict)
    one_fits = _is_text if form is Form.TEXTS else _is_step
    return isinstance(value, list) and all(one_fits(one) for one in value)


def _whole(value: object) -> bool:
    return type(value) is int and -_LARGEST <= value <= _LARGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_step(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"tier", "reason"} and all(map(_is_text, value.values()))
