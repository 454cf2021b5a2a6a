"""The vendor desk: takes a job to its tier's vendor and brings back a report."""

import time
from collections.abc import Mapping

import httpx

from pointsman_routes import Evidence, Job, RouteTable, Transient, Unsupported

from .http_client import call
from .providers import Ask, ProviderCodec, keeps_to
from .report import Report
from .stopwatch import Nanoseconds, Stopwatch


class HttpDesk:
    """Asks vendors over HTTP. Whatever goes wrong is in the report; nothing is raised."""

    def __init__(
        self,
        table: RouteTable,
        codecs: Mapping[str, ProviderCodec],
        client: httpx.AsyncBaseTransport,
        *,
        clock: Nanoseconds = time.perf_counter_ns,
    ) -> None:
        """Take what is needed to reach the vendors.

        Args:
            table: the route table.
            codecs: one per provider, by its name.
            client: from `build_client`; closed by whoever made it.
            clock: what calls are timed by.
        """
        self._tiers = table.tiers
        self._codecs = codecs
        self._client = client
        self._clock = clock

    async def ask(self, tier: str, job: Job, max_tokens: int) -> Report:
        """Make one call.

        Args:
            tier: the tier's full name.
            job: the job.
            max_tokens: most tokens the answer may have; always sent.
        """
        entry = self._tiers[tier]
        codec = self._codecs[entry.provider]
        request = codec.build(Ask(job=job, tier=entry, max_tokens=max_tokens))
        if isinstance(request, Unsupported):
            return Report(outcome=request, evidence=Evidence(), called=False)
        watch = Stopwatch(self._clock)
        raw = await call(self._client, request, entry.timeout.total_seconds())
        took = watch.elapsed_us
        if isinstance(raw, Transient):
            # What cannot have been billed has not reached the vendor: there was no connection to send it over.
            return Report(outcome=raw, evidence=Evidence(), duration_us=took if raw.may_be_billed else None)
        reply = codec.read(entry, raw)
        return Report(outcome=keeps_to(job, reply.outcome), evidence=reply.evidence, duration_us=took)
