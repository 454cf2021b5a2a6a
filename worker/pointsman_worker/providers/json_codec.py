"""What the kinds that answer in JSON have in common: reading a reply step by step."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar, Final

from pointsman_routes import Allowance, Evidence, Misrouted, Outcome, Refused, Tier, Transient, Unsupported, Usage
from pointsman_worker.api_keys import ApiKey

from .failure import inside_success, read_failure
from .judging import Finish, Spoken, judge
from .limit_headers import counts_requests_per_day, read_allowances
from .payload import parse_object, text_of
from .protocol import Ask, RawReply, Reply, WireRequest
from .redaction import Redactor
from .signal_table import COMMON, Signal, first_match

_LONGEST_NAME: Final = 128


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


class JsonCodec(ABC):
    """The base of a codec.

    A kind adds how it builds a request, what it calls an answer, its usage, and `signals`: what it in particular means
    by an error, read before what is common to all.

    Args:
        base_url: as the vendor's own SDK means it.
        key: the account's key; None for a server that asks for none.
        region: where the provider is declared to process data.
        now: the clock a vendor's moments are counted from when its reply names no date.
    """

    signals: tuple[Signal, ...] = ()
    """What this kind means by an error below 500 that is not about the key, the more particular first."""
    signals_any_status: tuple[Signal, ...] = ()
    """Likewise, whatever the status."""
    finishes: ClassVar[Mapping[str | None, Finish]]
    """What it calls the reasons why a model stops."""
    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id", "request-id")

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
            spoken = self._spoken(payload, raw.headers) if isinstance(payload.get("model"), str | None) else None
            if spoken is None:
                outcome = Transient(detail="the answer has a shape this vendor does not use", may_be_billed=True)
            else:
                outcome = self._without_secrets(judge(spoken, tier, self._region))
        return Reply(outcome=outcome, evidence=self._evidence(raw, payload or {}, spoken, allowances))

    @abstractmethod
    def _spoken(self, payload: Mapping[str, object], headers: Mapping[str, str]) -> Spoken | None:
        """What the vendor said; None when the shape is not the vendor's. Names of headers are in lower case."""

    @abstractmethod
    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        """Tokens as the vendor counted them; None unless both counts are there."""

    def _served_model(self, payload: Mapping[str, object]) -> str | None:
        """The model the vendor says it used; never the one asked for."""
        return text_of(payload.get("model"))

    def _request_id(self, raw: RawReply, payload: Mapping[str, object]) -> str | None:
        """The vendor's own name for the call; its support asks for it."""
        return next((raw.headers[name] for name in self.request_id_headers if raw.headers.get(name)), None)

    def _told_microusd(self, payload: Mapping[str, object]) -> int | None:
        """What the vendor itself says the call costs; None when it says nothing."""
        return None

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
        precise = first_match(self.signals_any_status, failure)
        if precise is None and 400 <= failure.status < 500 and failure.status not in (401, 403):
            precise = first_match(self.signals, failure)
        # The common table ends with a signal that matches whatever is left.
        return precise or first_match(COMMON, failure) or Transient(detail=failure.detail)

    def _evidence(
        self,
        raw: RawReply,
        payload: Mapping[str, object],
        spoken: Spoken | None,
        allowances: tuple[Allowance, ...],
    ) -> Evidence:
        return Evidence(
            http_status=raw.status,
            provider_request_id=self._name(self._request_id(raw, payload)),
            response_model=self._name(self._served_model(payload)),
            response_region=self._name(spoken.region if spoken else None),
            upstream=self._name(spoken.upstream if spoken else None),
            service_tier=self._name(spoken.service_tier if spoken else None),
            finish_reason=self._name(spoken.finish_reason if spoken else None),
            usage=self._usage(payload),
            told_microusd=self._told_microusd(payload),
            allowances=allowances,
        )

    def _name(self, text: str | None) -> str | None:
        return self._redactor.name(text, _LONGEST_NAME) if text is not None else None
