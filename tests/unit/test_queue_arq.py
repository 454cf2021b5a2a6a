"""What of arq the queue and the worker build on: its envelope, and the methods the worker overrides."""

import inspect
from importlib.metadata import requires, version

import pytest
from arq import Worker
from arq.jobs import DeserializationError, deserialize_job_raw, serialize_job
from packaging.requirements import Requirement
from packaging.version import Version
from queue_cases import make_job

from pointsman_queue import FUNCTION, decode_envelope, encode_envelope, from_json, to_json
from pointsman_routes import Job, Message, TextPart

_SIGNATURES = {
    "main": "(self) -> None",
    "_poll_iteration": "(self) -> None",
    "run_job": "(self, job_id: str, score: int) -> None",
    "record_health": "(self) -> None",
    "handle_sig_wait_for_completion": "(self, signum: signal.Signals) -> None",
    "close": "(self) -> None",
}


@pytest.mark.parametrize("name", sorted(_SIGNATURES))
def test_overridden_methods(name: str) -> None:
    """The methods of arq's worker that ours overrides have the signatures they had when it was written."""
    assert str(inspect.signature(getattr(Worker, name))) == _SIGNATURES[name]
    assert inspect.iscoroutinefunction(getattr(Worker, name)) is (not name.startswith("handle_sig"))


def test_attributes_in_use() -> None:
    """What our worker reads and sets of arq's is there."""
    parameters = inspect.signature(Worker.__init__).parameters
    used = ("functions", "queue_name", "redis_pool", "burst", "max_jobs", "job_completion_wait", "handle_signals")
    assert [name for name in used if name not in parameters] == []
    source = inspect.getsource(Worker)
    attributes = ("tasks", "jobs_complete", "jobs_failed", "jobs_retried", "allow_pick_jobs", "burst", "loop", "_pool")
    assert [name for name in attributes if f"self.{name}" not in source] == []


def test_version() -> None:
    """The arq that is installed is one the project allows, and the project allows no other minor version."""
    (ours,) = [entry for entry in map(Requirement, requires("pointsman") or ()) if entry.name == "arq"]
    assert Version(version("arq")) in ours.specifier
    assert Version("0.27") not in ours.specifier
    assert Version("0.29") not in ours.specifier


def test_envelope_is_arqs() -> None:
    """What we write is what arq writes with a JSON serializer, and arq reads it back, the salt as a keyword."""
    job = make_job()
    wire = {
        "custom_id": "t-1",
        "class": "triage",
        "messages": [{"role": "user", "content": "Which way?"}],
    }
    for salt in ("0123456789abcdefghij-_", 'any "text"\n\u00fc'):
        written = encode_envelope(job, 1234, salt=salt)
        assert written == serialize_job(FUNCTION, (wire,), {"salt": salt}, None, 1234, serializer=to_json)
        read: tuple[object, ...] = deserialize_job_raw(written, deserializer=from_json)
        assert read == (FUNCTION, [wire], {"salt": salt}, None, 1234)


@pytest.mark.parametrize(
    "job",
    [
        make_job(),
        make_job("ümlaut \u2028 \U0001f600", 'a "quoted" \\ text\n\x00'),
        Job(
            custom_id="all",
            task_class="triage",
            messages=(
                Message(role="system", content=""),
                Message(role="user", content=(TextPart(type="text", text="a"), TextPart(type="text", text="b"))),
            ),
            max_tokens=7,
            temperature=0.25,
            top_p=0.5,
            stop=("x", "y"),
            seed=-1,
            metadata={"a": [1, {"b": None}]},
        ),
    ],
)
def test_round_trip(job: Job) -> None:
    """A job comes out of its envelope as it went in, its salt beside it."""
    assert decode_envelope(encode_envelope(job, 0, salt="0123456789abcdefghij-_")) == (job, "0123456789abcdefghij-_")


@pytest.mark.parametrize(
    "beside",
    [
        b"",
        b',"k":{}',
        b',"k":null',
        b',"k":[1]',
        b',"k":7',
        b',"k":{"salt":null}',
        b',"k":{"salt":1}',
        b',"k":{"salt":""}',
        b',"k":{"salt":["a"]}',
    ],
)
def test_no_salt_is_no_error(beside: bytes) -> None:
    """An envelope of an older version, or one whose salt is no text, still holds its job; there is just no salt."""
    job = make_job()
    data = b'{"t":null,"f":"dispatch","a":[%b]%b,"et":1}' % (job.to_wire().encode(), beside)
    assert decode_envelope(data) == (job, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\x80\x04}.",
        b"\xff\xfe",
        b'{"f":"dispatch","a":[]}',
        b'{"f":"dispatch","a":[{}]}',
        b'{"f":"dispatch","a":"x"}',
        b"[" * 100_000,
        serialize_job(FUNCTION, ({"custom_id": "a"},), {}, None, 0),
        serialize_job("other", (make_job().model_dump(mode="json"),), {}, None, 0, serializer=to_json),
    ],
)
def test_other_data_is_no_job(data: bytes) -> None:
    """Whatever is not an envelope of ours is no job; reading it raises nothing and runs nothing."""
    assert decode_envelope(data) is None


@pytest.mark.parametrize("data", [b"[1]", b"1", b"\x80\x04}.", b""])
def test_arq_reads_nothing_but_objects(data: bytes) -> None:
    """Arq, given our deserializer, refuses what is no JSON object, pickles among it."""
    with pytest.raises(DeserializationError):
        deserialize_job_raw(data, deserializer=from_json)
