"""arq's job envelope, with JSON on both sides."""

import json
from typing import Any

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


def to_json(value: dict[str, Any]) -> bytes:
    """Arq's serializer."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """Arq's deserializer. Whatever else is in Redis, nothing but JSON is read and no code runs."""
    value = json.loads(data)
    if not isinstance(value, dict):
        raise TypeError("an envelope is a JSON object")
    return value


def encode_envelope(job: Job, enqueued_at_ms: int, *, asked: str | None = None) -> bytes:
    """Wrap a job as arq does.

    Args:
        job: the job.
        enqueued_at_ms: the producer's clock, milliseconds since the epoch; for people who look at the queue.
        asked: from `job.asked()`, if it is at hand.
    """
    # What arq's `serialize_job` writes, put together by hand: this is the inner loop of every submission.
    return b'{"t":null,"f":"%b","a":[%b],"k":{},"et":%d}' % (_FUNCTION, job.to_wire(asked).encode(), enqueued_at_ms)


def decode_envelope(data: bytes) -> Job | None:
    """The job in an envelope; None when this is not one of ours, however it came to be there."""
    try:
        envelope = _Envelope.model_validate_json(data)
    except ValidationError:
        return None
    return envelope.a[0] if envelope.f == FUNCTION else None
