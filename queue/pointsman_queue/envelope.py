"""arq's job envelope, with JSON on both sides."""

import json
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from pointsman_routes import Job

FUNCTION = "dispatch"
"""The name under which arq knows the work; what is done is the tier's pipeline."""
_FUNCTION = FUNCTION.encode()


class _Envelope(BaseModel):
    """What of arq's envelope is ours."""

    model_config = ConfigDict(extra="ignore")

    f: str
    a: tuple[Job]
    k: Any = None


class Opened(NamedTuple):
    """What an envelope of ours holds."""

    job: Job
    salt: str | None
    """Of the digests in the job's records; None in an envelope written by a version that had none."""


def to_json(value: dict[str, Any]) -> bytes:
    """Arq's serializer."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """Arq's deserializer. Whatever else is in Redis, nothing but JSON is read and no code runs."""
    value = json.loads(data)
    if not isinstance(value, dict):
        raise TypeError("an envelope is a JSON object")
    return value


def encode_envelope(job: Job, enqueued_at_ms: int, *, salt: str, asked: str | None = None) -> bytes:
    """Wrap a job as arq does, its salt as the work's one keyword argument.

    Args:
        job: the job.
        enqueued_at_ms: the producer's clock, milliseconds since the epoch; for people who look at the queue.
        salt: for the digests in the job's records.
        asked: from `job.asked()`, if it is at hand.
    """
    # What arq's `serialize_job` writes, put together by hand: this is the inner loop of every submission.
    return b'{"t":null,"f":"%b","a":[%b],"k":{"salt":%b},"et":%d}' % (
        _FUNCTION,
        job.to_wire(asked).encode(),
        encode_basestring(salt).encode(),
        enqueued_at_ms,
    )


def decode_envelope(data: bytes) -> Opened | None:
    """Job and salt of an envelope; None when this is not one of ours, however it came to be there."""
    try:
        envelope = _Envelope.model_validate_json(data)
    except ValidationError:
        return None
    if envelope.f != FUNCTION:
        return None
    salt = envelope.k.get("salt") if isinstance(envelope.k, dict) else None
    return Opened(envelope.a[0], salt if isinstance(salt, str) and salt else None)
