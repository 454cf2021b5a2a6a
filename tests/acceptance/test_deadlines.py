"""A job that cannot be answered in time ends as expired, and says so."""

import pytest
from acceptance_line import Line
from acceptance_routes import Route

pytestmark = pytest.mark.acceptance


def test_expired(line: Line, routes: dict[str, Route]) -> None:
    """Past their deadline jobs end as expired, at a vendor that hangs as at a closed tier; submit exits with 1."""
    hanging, shut = routes["hanging"], routes["shut"]
    line.vendor.behave(hanging.primary_model, behaviour="hang")
    line.run("routes", "disable", shut.primary, "--reason", "closed for good")
    results = line.ask([*hanging.jobs(3), *shut.jobs(3)], batch="too-late", expect=1)
    assert {(result["response"], result["pointsman"]["state"]) for result in results} == {(None, "expired")}
    assert {result["error"]["code"] for result in results} == {"expired"}
    finals = line.audit("--batch", "too-late", "--state", "expired")
    assert sorted(record["custom_id"] for record in finals) == [result["custom_id"] for result in results]
    assert {record["attempts"] for record in finals if record["task_class"] == shut.name} == {0}
    assert {record["attempts"] for record in finals if record["task_class"] == hanging.name} == {1}
    assert line.vendor.calls(shut.primary_model) == []
