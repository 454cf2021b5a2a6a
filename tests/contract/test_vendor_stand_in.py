"""The vendor the other tests stand on: what it says about a call is what happened."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import vendor_stand_in
from provider_samples import KEY, ask, job
from vendor_stand_in import Mode, StandInVendor

from pointsman_routes import Ok, Outcome, OutcomeKind, Provider, Throttled, Transient
from pointsman_worker.http_client import build_client, call
from pointsman_worker.providers import RawReply, WireRequest, codec_for

EVERY_KIND = pytest.mark.parametrize("kind", ["openai", "openai-compatible", "anthropic"])


async def dispatch(
    client: httpx.AsyncBaseTransport, vendor: StandInVendor, kind: str, model: str = "m-1", timeout_s: float = 5
) -> Outcome:
    """One attempt, from job to outcome."""
    fields: dict[str, Any] = {"kind": kind, "owner": "me", "api_key": {"env": "K"}, "tiers": {"t": {"model": model}}}
    base_url = vendor.root if kind == "anthropic" else vendor.base_url
    provider = Provider.model_validate({**fields, "base_url": base_url})
    codec = codec_for(provider, KEY)
    wire = codec.build(ask(job(("user", "hello [[t-17]]")), model))
    assert isinstance(wire, WireRequest)
    raw = await call(client, wire, timeout_s)
    return codec.read(provider.tiers["t"], raw).outcome if isinstance(raw, RawReply) else raw


@EVERY_KIND
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode(), OutcomeKind.OK),
        (Mode(behaviour="gzip"), OutcomeKind.OK),
        (Mode(behaviour="empty"), OutcomeKind.EMPTY),
        (Mode(behaviour="truncate"), OutcomeKind.TRUNCATED),
        (Mode(behaviour="refuse"), OutcomeKind.REFUSED),
        (Mode(behaviour="wrong_model"), OutcomeKind.MISROUTED),
        (Mode(behaviour="error_inside"), OutcomeKind.TRANSIENT),
        (Mode(behaviour="broken_json"), OutcomeKind.TRANSIENT),
        (Mode(behaviour="cut"), OutcomeKind.TRANSIENT),
        (Mode(behaviour="redirect"), OutcomeKind.TRANSIENT),
        (Mode(status=400), OutcomeKind.INVALID),
        (Mode(status=401), OutcomeKind.UNAUTHORIZED),
        (Mode(status=402), OutcomeKind.EXHAUSTED),
        (Mode(status=404), OutcomeKind.UNSUPPORTED),
        (Mode(status=429), OutcomeKind.THROTTLED),
        (Mode(status=500), OutcomeKind.TRANSIENT),
        (Mode(status=503), OutcomeKind.OVERLOADED),
    ],
)
async def test_each_mode_is_what_it_says(kind: str, mode: Mode, expected: OutcomeKind) -> None:
    """Both formats, each misbehaviour: the codec sees what the mode promises, in one call."""
    async with StandInVendor(mode=mode) as vendor, build_client(2) as client:
        assert (await dispatch(client, vendor, kind)).kind is expected
        assert [(call.model, call.marker) for call in vendor.calls] == [("m-1", "t-17")]


@EVERY_KIND
@pytest.mark.parametrize("behaviour", ["hang", "drip"])
async def test_a_call_that_never_ends_is_cut(kind: str, behaviour: vendor_stand_in.Behaviour) -> None:
    """The two ways of never ending, through the whole path."""
    async with StandInVendor(mode=Mode(behaviour=behaviour)) as vendor, build_client(2) as client:
        outcome = await dispatch(client, vendor, kind, timeout_s=0.3)
    assert isinstance(outcome, Transient)
    assert outcome.may_be_billed


async def test_a_mode_may_be_for_some_calls_or_one_model() -> None:
    """A mode with `times` wears off; a mode of one model leaves the others alone."""
    async with StandInVendor() as vendor, build_client(2) as client:
        vendor.mode = Mode(status=429, headers={"retry-after": "2"}, times=1)
        vendor.modes["m-2"] = Mode(status=503, times=2)
        first = await dispatch(client, vendor, "openai")
        assert isinstance(first, Throttled)
        assert first.retry_after_s == 2
        assert isinstance(await dispatch(client, vendor, "openai"), Ok)
        assert (await dispatch(client, vendor, "openai", "m-2")).kind is OutcomeKind.OVERLOADED
        assert (await dispatch(client, vendor, "openai", "m-2")).kind is OutcomeKind.OVERLOADED
        assert isinstance(await dispatch(client, vendor, "openai", "m-2"), Ok)
        assert [call.status for call in vendor.calls] == [429, 200, 503, 503, 200]


async def test_calls_in_flight_are_counted() -> None:
    """The peak is the vendor's own count, whatever the client believes."""
    async with StandInVendor(mode=Mode(latency_s=0.1)) as vendor, build_client(3) as client:
        await asyncio.gather(*(dispatch(client, vendor, "openai") for _ in range(6)))
        assert vendor.peak_in_flight == 3
        assert vendor.in_flight == 0
        assert len(vendor.calls) == 6


@pytest.fixture
def process(tmp_path: Path) -> Iterator[StandInVendor]:
    """The script, running; it has to end well at SIGTERM."""
    port_file = tmp_path / "port"
    process = subprocess.Popen([sys.executable, vendor_stand_in.__file__, "--port-file", port_file])
    try:
        deadline = time.monotonic() + 20
        while not port_file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield StandInVendor(port=int(port_file.read_text()))
    finally:
        process.terminate()
        assert process.wait(10) == 0


async def test_it_runs_as_a_process_of_its_own(process: StandInVendor) -> None:
    """The script writes its port, and takes modes and tells its calls over HTTP."""
    async with httpx.AsyncClient(base_url=process.root, trust_env=False) as admin, build_client(2) as client:
        await admin.post("/_mode", json={"model": "m-1", "status": 503, "times": 1})
        assert (await dispatch(client, process, "openai")).kind is OutcomeKind.OVERLOADED
        assert isinstance(await dispatch(client, process, "anthropic"), Ok)
        told = (await admin.get("/_calls")).json()
        assert [(call["model"], call["marker"], call["status"]) for call in told["calls"]] == [
            ("m-1", "t-17", 503),
            ("m-1", "t-17", 200),
        ]
        assert told["peak_in_flight"] == 1
        await admin.post("/_reset")
        assert (await admin.get("/_calls")).json()["calls"] == []
