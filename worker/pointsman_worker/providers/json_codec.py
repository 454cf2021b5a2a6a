"""What the kinds that answer in JSON have in common: reading a reply step by step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from pointsman_routes import Allowance, Evidence, Misrouted, Outcome, Refused, Tier, Transient, Unsupported, Usage
from pointsman_worker.api_keys import ApiKey

from .failure import Failure, by_status, inside_success, read_failure
from .judging import Spoken, judge
from .limit_headers import counts_requests_per_day, read_allowances
from .payload import parse_object, text_of
from .protocol import Ask, RawReply, Reply, WireRequest
from .redaction import Redactor

_LONGEST_NAME: Final = 128


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


class JsonCodec(ABC):
    """The base of a codec.

    A kind adds how it builds a request, what it calls an answer, its usage, and the signals only it gives.

    Args:
        base_url: as the vendor's own SDK means it.
        key: the account's key; None for a server that asks for none.
        region: where the provider is declared to process data.
        now: the clock a vendor's moments are counted from when its reply names no date.
    """

    def __init__(
        self, base_url: str, key: ApiKey | None, *, region: str | None = None, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._region = region
        self._now = now
        self._redactor = Redactor(key)
        self._requests_per_day = counts_requests_per_day(base_url)

    @abstractmethod
    def build(self, ask: Ask) -> WireRequest | Unsupported:
        """See `ProviderCodec`."""

    def read(self, tier: Tier, raw: RawReply) -> Reply:
        """See `ProviderCodec`.

        In order: an error status, a body that is no JSON object, an error inside a success, an answer of a
        shape that is not the vendor's, and last the judgement of what was said.
        """
        now = self._now()
        allowances = read_allowances(raw.headers, now, requests_per_day=self._requests_per_day)
        payload = parse_object(raw.body)
        spoken = None
        if not 200 <= raw.status < 300:
            outcome = self._failed(raw, payload or {}, now, allowances)
        elif payload is None:
            outcome = Transient(detail="the answer is not a JSON object", may_be_billed=True)
        elif (error := self._error_inside(payload)) is not None:
            outcome = inside_success(self._failed(raw, error, now, allowances))
        else:
            spoken = self._spoken(payload) if isinstance(payload.get("model"), str | None) else None
            if spoken is None:
                outcome = Transient(detail="the answer has a shape this vendor does not use", may_be_billed=True)
            else:
                outcome = self._without_secrets(judge(spoken, tier, self._region))
        return Reply(outcome=outcome, evidence=self._evidence(raw, payload or {}, spoken, allowances))

    @abstractmethod
    def _spoken(self, payload: Mapping[str, object]) -> Spoken | None:
        """What the vendor said; None when the shape is not the vendor's."""

    @abstractmethod
    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        """Tokens as the vendor counted them; None unless both counts are there."""

    @abstractmethod
    def _signal(self, failure: Failure) -> Outcome | None:
        """What this vendor in particular means by an error below 500 that is not about the key."""

    def _error_inside(self, payload: Mapping[str, object]) -> Mapping[str, object] | None:
        """The object holding an error that came with a success status."""
        marked = "error" in (payload.get("type"), payload.get("object"))
        return payload if marked or payload.get("error") else None

    def _without_secrets(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Misrouted | Refused | Transient):
            return replace(outcome, detail=self._redactor.clean(outcome.detail, 300))
        return outcome

    def _failed(
        self, raw: RawReply, error: Mapping[str, object], now: datetime, allowances: tuple[Allowance, ...]
    ) -> Outcome:
        failure = read_failure(raw.status, raw.headers, error, self._redactor, now, allowances)
        precise = None
        if 400 <= failure.status < 500 and failure.status not in (401, 403):
            precise = self._signal(failure)
        return precise or by_status(failure)

    def _evidence(
        self,
        raw: RawReply,
        payload: Mapping[str, object],
        spoken: Spoken | None,
        allowances: tuple[Allowance, ...],
    ) -> Evidence:
        request_id = raw.headers.get("x-request-id") or raw.headers.get("request-id")
        return Evidence(
            http_status=raw.status,
            provider_request_id=self._name(request_id),
            response_model=self._name(text_of(payload.get("model"))),
            finish_reason=self._name(spoken.finish_reason if spoken else None),
            usage=self._usage(payload),
            allowances=allowances,
        )

    def _name(self, text: str | None) -> str | None:
        return self._redactor.name(text, _LONGEST_NAME) if text is not None else None
