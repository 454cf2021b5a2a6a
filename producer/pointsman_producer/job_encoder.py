"""Encoding: from a job to what the queue takes in.

This is the producer's inner loop. What does not differ between two jobs of a class is prepared once per class.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from json.encoder import encode_basestring
from typing import Literal

from pydantic_core import PydanticSerializationError

from pointsman_queue import NewJob, encode_envelope
from pointsman_routes import (
    Acceptance,
    AcceptedRecord,
    Fit,
    Job,
    JobInvalid,
    RouteTable,
    TaskClass,
    job_id_for,
    salted_digest,
)

_SALT_BYTES = 16
"""Random ones: nobody tries them all."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the jobs of one class have in common."""

    tier: str
    max_tokens: int
    deadline_ms: int
    spill_ms: int
    record: str
    """The accepted record in JSON, with `%(...)s` where jobs differ."""
    redriven: str
    """The same of a job that is taken in once more."""
    fit: Fit | None
    """None when every job fits."""


class JobEncoder:
    """Encodes jobs under one route table."""

    def __init__(self, table: RouteTable) -> None:
        self._plans = {name: _plan(table, name, entry) for name, entry in table.classes.items()}
        self.strict_classes = frozenset(
            name for name, entry in table.classes.items() if entry.acceptance is Acceptance.LEDGER
        )
        """Classes whose jobs are accepted once the ledger has them."""

    def encode(
        self,
        batch_id: str,
        job: Job,
        now_ms: int,
        *,
        salt: str | None = None,
        redriven: bool = False,
        deadline_ms: int | None = None,
    ) -> NewJob:
        """Encode a job of a batch.

        Args:
            batch_id: the batch.
            job: the job.
            now_ms: the producer's clock, milliseconds since the epoch.
            salt: of the digests in the job's records; a new random one when absent.
            redriven: whether the job was accepted before and lost by Redis; its record says so.
            deadline_ms: what is left until its deadline; all that its class gives when absent.

        Raises:
            JobInvalid: its class is not in the route table, its metadata is not JSON, or no tier can ever take it.
        """
        plan = self._plans.get(job.task_class)
        if plan is None:
            raise JobInvalid(
                f"job {job.custom_id!r} has the unknown class {job.task_class!r}; "
                f"the configuration has: {', '.join(sorted(self._plans))}"
            )
        salt = salt or secrets.token_urlsafe(_SALT_BYTES)
        try:
            asked = job.asked()
            envelope = encode_envelope(job, now_ms, salt=salt, asked=asked)
        except (PydanticSerializationError, TypeError, ValueError, RecursionError):
            # The library's own message may show content.
            raise JobInvalid(
                f"job {job.custom_id!r} cannot be written as JSON; use only JSON values in its metadata"
            ) from None
        if plan.fit is not None and (problem := self.misfit(job)) is not None:
            raise JobInvalid(f"job {job.custom_id!r} {problem}")
        job_id = job_id_for(batch_id, job.custom_id)
        record = (plan.redriven if redriven else plan.record) % {
            "job_id": job_id,
            "custom_id": encode_basestring(job.custom_id),
            "batch_id": batch_id,
            "prompt_digest": salted_digest(salt, asked),
        }
        return NewJob(
            job_id=job_id,
            task_class=job.task_class,
            tier=plan.tier,
            envelope=envelope,
            characters=job.characters,
            max_tokens=plan.max_tokens if job.max_tokens is None else job.max_tokens,
            prompt_digest=job.prompt_digest(asked),
            record=record.encode(),
            deadline_ms=plan.deadline_ms if deadline_ms is None else deadline_ms,
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
        record=_record_template(table, name, entry, redriven=None),
        redriven=_record_template(table, name, entry, redriven=True),
    )


def _record_template(table: RouteTable, name: str, entry: TaskClass, *, redriven: Literal[True] | None) -> str:
    """The record as its own class writes it, so that a field added there is never forgotten here.

    What is None is left out: every byte of it waits in Redis, once for each job.
    """
    written = AcceptedRecord(
        job_id="<job_id>",
        custom_id="<custom_id>",
        batch_id="<batch_id>",
        task_class=name,
        requested_tier=entry.primary,
        prompt_digest="<prompt_digest>",
        policy_digest=table.policy_digest,
        redriven=redriven,
    ).model_dump_json(exclude_none=True)
    template = written.replace("%", "%%")
    for key in ("job_id", "batch_id", "prompt_digest"):
        template = template.replace(f'"{key}":"<{key}>"', f'"{key}":"%({key})s"')
    # A custom_id is the producer's own text: it is escaped, and brings its quotation marks.
    return template.replace('"custom_id":"<custom_id>"', '"custom_id":%(custom_id)s')


def _milliseconds(value: timedelta) -> int:
    return round(value.total_seconds() * 1000)
