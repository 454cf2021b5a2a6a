"""Encoding: from a job to what the queue takes in.

This is the producer's inner loop. What does not differ between two jobs of a class is prepared once per class.
"""

from dataclasses import dataclass
from datetime import timedelta
from json.encoder import encode_basestring

from pydantic_core import PydanticSerializationError

from pointsman_queue import NewJob, encode_envelope
from pointsman_routes import AcceptedRecord, Fit, Job, JobInvalid, RouteTable, TaskClass, job_id_for


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the jobs of one class have in common."""

    tier: str
    max_tokens: int
    deadline_ms: int
    spill_ms: int
    record: str
    """The accepted record in JSON, with `%(...)s` where jobs differ."""
    fit: Fit | None
    """None when every job fits."""


class JobEncoder:
    """Encodes jobs under one route table."""

    def __init__(self, table: RouteTable) -> None:
        self._plans = {name: _plan(table, name, entry) for name, entry in table.classes.items()}

    def encode(self, batch_id: str, job: Job, now_ms: int) -> NewJob:
        """Encode a job of a batch.

        Raises:
            JobInvalid: its class is not in the route table, its metadata is not JSON, or no tier can ever take it.
        """
        plan = self._plans.get(job.task_class)
        if plan is None:
            raise JobInvalid(
                f"job {job.custom_id!r} has the unknown class {job.task_class!r}; "
                f"the configuration has: {', '.join(sorted(self._plans))}"
            )
        try:
            asked = job.asked()
            envelope = encode_envelope(job, now_ms, asked=asked)
        except (PydanticSerializationError, TypeError, ValueError, RecursionError):
            # The library's own message may show content.
            raise JobInvalid(
                f"job {job.custom_id!r} cannot be written as JSON; use only JSON values in its metadata"
            ) from None
        if plan.fit is not None and (problem := self.misfit(job)) is not None:
            raise JobInvalid(f"job {job.custom_id!r} {problem}")
        job_id = job_id_for(batch_id, job.custom_id)
        prompt_digest = job.prompt_digest(asked)
        record = plan.record % {
            "job_id": job_id,
            "custom_id": encode_basestring(job.custom_id),
            "batch_id": batch_id,
            "prompt_digest": prompt_digest,
        }
        return NewJob(
            job_id=job_id,
            task_class=job.task_class,
            tier=plan.tier,
            envelope=envelope,
            characters=job.characters,
            max_tokens=plan.max_tokens if job.max_tokens is None else job.max_tokens,
            prompt_digest=prompt_digest,
            record=record.encode(),
            deadline_ms=plan.deadline_ms,
            spill_ms=plan.spill_ms,
        )

    def misfit(self, job: Job) -> str | None:
        """Why no tier of its route can ever take a job, whatever the wait; None if one may, or its class is unknown."""
        plan = self._plans.get(job.task_class)
        if plan is None:
            return None
        most = plan.max_tokens if job.max_tokens is None else job.max_tokens
        return plan.fit.problem(job.characters, most) if plan.fit is not None else None


def _plan(table: RouteTable, name: str, entry: TaskClass) -> _Plan:
    fit = Fit(table, entry)
    return _Plan(
        fit=None if fit.unlimited else fit,
        tier=entry.primary,
        max_tokens=entry.max_tokens,
        deadline_ms=_milliseconds(entry.deadline),
        spill_ms=_milliseconds(entry.spill_after) if len(entry.route) > 1 else 0,
        record=_record_template(table, name, entry),
    )


def _record_template(table: RouteTable, name: str, entry: TaskClass) -> str:
    """The record as its own class writes it, so that a field added there is never forgotten here."""
    written = AcceptedRecord(
        job_id="<job_id>",
        custom_id="<custom_id>",
        batch_id="<batch_id>",
        task_class=name,
        requested_tier=entry.primary,
        prompt_digest="<prompt_digest>",
        policy_digest=table.policy_digest,
    ).model_dump_json()
    template = written.replace("%", "%%")
    for key in ("job_id", "batch_id", "prompt_digest"):
        template = template.replace(f'"{key}":"<{key}>"', f'"{key}":"%({key})s"')
    # A custom_id is the producer's own text: it is escaped, and brings its quotation marks.
    return template.replace('"custom_id":"<custom_id>"', '"custom_id":%(custom_id)s')


def _milliseconds(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)
