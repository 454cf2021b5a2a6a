"""A vendor of chat completions whose habits can be written down as data, and the codec that keeps to them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pointsman_routes import Job, ReasoningEffort, Usage
from pointsman_worker.api_keys import ApiKey

from .chat_answer import usage_of
from .chat_signals import CHAT_SIGNALS
from .json_codec import utc_now
from .openai import OpenAICompatibleCodec
from .payload import object_of
from .protocol import Ask
from .signal_table import Signal

_TICKS_PER_MICROUSD = 10_000
_MOST_TICKS = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """An address and a few habits. What is not given is as the chat completions API has it."""

    vendor: str
    """As it calls itself."""
    base_url: str
    """As its own guide to OpenAI's SDK has it."""
    limit_field: str = "max_tokens"
    """What carries the limit of tokens."""
    hottest: float = 2.0
    """The highest temperature."""
    most_stops: int | None = None
    """Most stop sequences; None for any number."""
    longest_stop: int | None = None
    """Most bytes of a stop sequence; None for any number."""
    takes_seed: bool = True
    takes_schema: bool = True
    """Whether an answer can be asked for by a JSON Schema."""
    fetches_images: bool = True
    """Whether an image may be given by its address."""
    efforts: Mapping[ReasoningEffort, Mapping[str, object]] | None = None
    """The efforts it knows, each with what is sent for it. Those it would take for another effort are left out. None
    sends every effort as it stands."""
    thinks: bool = False
    """Whether it thinks unless told not to, and then ignores temperature and top_p, and wants back, beside a tool call,
    what it had thought."""
    always: Mapping[str, object] = field(default_factory=dict)
    """What is sent with every request."""
    cached_field: str | None = None
    """Of usage: the tokens read from the cache, where they don't stand in the details."""
    ticks_field: str | None = None
    """Of usage: what the call costs, in 1e-10 USD."""
    signals: tuple[Signal, ...] = ()
    """What it means by an error, before what chat completions mean by it."""
    signals_any_status: tuple[Signal, ...] = ()
    """Likewise, whatever the status."""


class PresetCodec(OpenAICompatibleCodec):
    """Chat completions with a vendor's habits."""

    def __init__(
        self,
        preset: Preset,
        base_url: str,
        key: ApiKey | None,
        *,
        region: str | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(base_url, key, region=region, now=now)
        self._preset = preset
        self._limit_field = preset.limit_field
        self._most_stops = preset.most_stops
        self.signals = (*preset.signals, *CHAT_SIGNALS)
        self.signals_any_status = preset.signals_any_status

    def _problems(self, ask: Ask) -> Iterator[str]:
        yield from super()._problems(ask)
        yield from _sampling_problems(self._preset, ask.job)
        yield from _form_problems(self._preset, ask.job)
        if self._preset.thinks and ask.job.reasoning_effort != "none":
            yield from _thinking_problems(self._preset, ask.job)

    def _parameters(self, ask: Ask) -> dict[str, object]:
        given = super()._parameters(ask)
        effort = ask.job.reasoning_effort
        if self._preset.efforts is not None and effort is not None:
            del given["reasoning_effort"]
            given.update(self._preset.efforts[effort])
        return {**given, **self._preset.always}

    def _usage(self, payload: Mapping[str, object]) -> Usage | None:
        return usage_of(object_of(payload.get("usage")), self._preset.cached_field)

    def _told_microusd(self, payload: Mapping[str, object]) -> int | None:
        field_name = self._preset.ticks_field
        ticks = object_of(payload.get("usage")).get(field_name) if field_name is not None else None
        if isinstance(ticks, bool) or not isinstance(ticks, int) or not 0 <= ticks <= _MOST_TICKS:
            return None
        return -(-ticks // _TICKS_PER_MICROUSD)


def _sampling_problems(preset: Preset, job: Job) -> Iterator[str]:
    if job.temperature is not None and job.temperature > preset.hottest:
        yield f"temperature: {preset.vendor} takes 0 to {preset.hottest:g}, the job asks for {job.temperature:g}"
    if job.seed is not None and not preset.takes_seed:
        yield f"seed: {preset.vendor} has no such parameter"
    longest = preset.longest_stop
    if longest is not None and any(len(stop.encode()) > longest for stop in job.stop or ()):
        yield f"stop: {preset.vendor} takes no sequence of more than {longest} bytes"


def _form_problems(preset: Preset, job: Job) -> Iterator[str]:
    effort = job.reasoning_effort
    if effort is not None and preset.efforts is not None and effort not in preset.efforts:
        yield f"reasoning_effort: {preset.vendor} knows {', '.join(preset.efforts)}, the job asks for {effort}"
    if job.response_format is not None and job.response_format.json_schema is not None and not preset.takes_schema:
        yield f"response_format: {preset.vendor} takes no schema"
    if not preset.fetches_images and any(image.inline is None for turn in job.messages for image in turn.images):
        yield f"messages: {preset.vendor} fetches no image; it must be in the message itself"


def _thinking_problems(preset: Preset, job: Job) -> Iterator[str]:
    remedy = 'ask for reasoning_effort "none"'
    for name, value in (("temperature", job.temperature), ("top_p", job.top_p)):
        if value is not None:
            yield f"{name}: {preset.vendor} ignores it while it thinks; {remedy}"
    if any(turn.tool_calls is not None for turn in job.messages):
        yield f"messages: {preset.vendor} wants back what it thought beside a tool call, which no job holds; {remedy}"
