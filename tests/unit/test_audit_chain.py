"""The chain: canonical text, hashes, links."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from pointsman_audit import GENESIS, Head, canonical, link, text_hash
from pointsman_audit.chain import expressible

_EXACT = 2**53 - 1
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-_EXACT, _EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4))
_OBJECTS = st.dictionaries(_NAMES, _JSON, max_size=6)


@given(_OBJECTS)
def test_canonical_is_rfc_8785(value: dict[str, Any]) -> None:
    """Whatever is in it, the text is the one that an independent implementation of RFC 8785 writes."""
    assert canonical(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, "x"]}, '{"a":[true,null,"x"],"b":1}'),
        # The examples of RFC 8785, 3.2.2 and 3.2.3: fractions as ECMAScript writes them, names by UTF-16 units.
        ({"n": [333333333.33333329, 1e30, 4.5, 2e-3, 1e-27]}, '{"n":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'),
        ({"s": '€$\x0f\nA\'B"\\\\"/'}, '{"s":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'),
        ({"\U0001f600": 1, "\ufb33": 2, "€": 3}, '{"€":3,"\U0001f600":1,"\ufb33":2}'),
    ],
)
def test_canonical_examples(value: dict[str, Any], text: str) -> None:
    """The cases in which JSON is written in more than one way are written in the standard's."""
    assert canonical(value) == text


@pytest.mark.parametrize("bad", [2**53, -(2**53), float("nan"), float("inf"), "\ud800"])
def test_what_canonical_json_cannot_express(bad: object) -> None:
    """A number no double holds exactly and half a surrogate pair are refused, however deep they are."""
    assert not expressible({"a": [{"b": bad}]})
    assert expressible({"a": [{"b": 2**53 - 1}]})


def test_hash_of_a_fixed_record() -> None:
    """A record's hash never changes from one version to the next: old ledgers must still verify."""
    first = link(Head(0, GENESIS), {"kind": "accepted", "job_id": "j-é", "accepted_at": 1_767_268_800_000_000})
    assert first.text == (
        '{"accepted_at":1767268800000000,"job_id":"j-é","kind":"accepted",'
        '"prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","seq":1}'
    )
    assert first.hash == "50d2050504f2d8ec3c013c1db28604e20826630071b381587228c8415406bee3"
    second = link(first.head, {"kind": "final", "cost": 0.5})
    assert second.head == Head(2, "b52a7c35e15ce956bde05b75816dca859f538239583ecf8e5ffec80b301f2856")


@given(st.lists(_OBJECTS, max_size=5))
def test_links_name_their_predecessor(bodies: list[dict[str, Any]]) -> None:
    """Each record has the next number and its predecessor's hash inside, and the SHA-256 of its text beside it."""
    head = Head(0, GENESIS)
    for body in bodies:
        added = link(head, body)
        inside = json.loads(added.text)
        assert (inside["seq"], inside["prev_hash"]) == (head.seq + 1, head.hash)
        assert added.hash == text_hash(added.text) == hashlib.sha256(added.text.encode()).hexdigest()
        head = added.head
    assert head.seq == len(bodies)
