"""Prints docs/outcomes.md: what every signal of every vendor means, out of the tables workers read them by.

    python tests/outcomes_page.py > docs/outcomes.md

No outcome is written by hand: an error's stands in its table, and all others are what the code makes of a sample.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outcome_samples import ANSWERS, ANSWERS_OF, CALLS, Sample, codec_of
from provider_samples import tier

from pointsman_routes import Outcome, OutcomeKind, ProviderKind, Transient
from pointsman_worker.providers.chat_answer import CHAT_FINISHES
from pointsman_worker.providers.chat_signals import CHAT_SIGNALS
from pointsman_worker.providers.judging import Finish, Spoken, judge
from pointsman_worker.providers.messages_answer import MESSAGES_FINISHES
from pointsman_worker.providers.messages_signals import MESSAGES_SIGNALS
from pointsman_worker.providers.signal_table import COMMON, Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What several kinds have in common."""

    name: str
    speak: str
    """How its members begin a sentence."""
    signals: tuple[Signal, ...]
    finishes: Mapping[str | None, Finish]

    @property
    def link(self) -> str:
        """To its section."""
        return f"[{self.name.lower()}](#{self.name.lower().replace(' ', '-')})"


FAMILIES: Final = (
    Family(name="Chat completions", speak="chat completions", signals=CHAT_SIGNALS, finishes=CHAT_FINISHES),
    Family(name="Messages", speak="Anthropic's messages", signals=MESSAGES_SIGNALS, finishes=MESSAGES_FINISHES),
)

_4XX: Final = "4xx but 401, 403"
_INTRO: Final = """\
# Outcomes

Every attempt ends in one of thirteen outcomes. This page lists what vendors say, each signal once, and the outcome it
stands for. What follows an outcome is the same for all vendors: see
[lifecycle.md](lifecycle.md#outcomes-and-what-follows).

The tables are the ones workers read vendors by. `python tests/outcomes_page.py > docs/outcomes.md` prints this page out
of the code, and a test fails when the two differ.

## How to read it

An error is looked up in up to three tables, and the first row that fits decides:

1. *any status*, of its kind;
2. *4xx but 401, 403*, of its kind. It goes on with the rows of the kind's family, if it has one:
   [chat completions](#chat-completions) or [messages](#messages);
3. [errors of all kinds](#errors).

So each row means: and none of those above. A number is an HTTP status. `Words like these` are the error's type, code,
status or reason, whatever its vendor calls it; upper and lower case are the same. "Message" is its text. Answers with
status 200 are judged by [another table](#answers); a stop reason is the vendor's word for why the model ended.

| after an outcome | means |
|---|---|
| until an operator | the tier stays closed until `routes enable` |
| for a time | until the moment that the row or the vendor names; if neither does, until an operator |
| may be billed | the request had reached the vendor; where no usage is told, the estimate is charged |

Two outcomes need no word of the vendor's. What the kind [cannot express](providers.md), and a class that the tier may
not serve, is `unsupported` before any call. A call whose worker died, froze or was stopped, or that an operator cut
off, is `unknown`, and may be billed.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def family_of(kind: ProviderKind) -> Family | None:
    """The family whose errors a kind reads after its own."""
    signals = codec_of(kind).signals
    return next((family for family in FAMILIES if signals[-len(family.signals) :] == family.signals), None)


def own_signals(kind: ProviderKind) -> tuple[Signal, ...]:
    """What a kind means by errors below 500 that are not about the key, without what its family does."""
    family, signals = family_of(kind), codec_of(kind).signals
    return signals[: -len(family.signals)] if family is not None else signals


def _lines() -> Iterator[str]:
    yield _INTRO
    yield from ("## All kinds", "", "### Errors", "")
    yield from _table("signal", ((signal.says, _meaning(signal)) for signal in COMMON))
    yield from ("### Calls without a whole answer", "")
    yield from _table("what happened", _sampled(CALLS))
    yield from ("### Answers", "", "With status 200, in the order in which it is looked at:", "")
    yield from _table("answer", _sampled(ANSWERS))
    for family in FAMILIES:
        yield from _family(family)
    for kind in ProviderKind:
        yield from _kind(kind)


def _family(family: Family) -> Iterator[str]:
    members = [kind.value for kind in ProviderKind if family_of(kind) is family]
    yield from (f"## {family.name}", "", f"Shared by the kinds that speak {family.speak}:", f"{_listed(members)}.", "")
    yield from _table(_4XX, ((_in_full(signal), _meaning(signal)) for signal in family.signals))
    yield from _table("stop reason", _finished(family.finishes))
    yield from _table("answer", _sampled(ANSWERS_OF[family.name]))


def _kind(kind: ProviderKind) -> Iterator[str]:
    codec, family = codec_of(kind), family_of(kind)
    own, always = own_signals(kind), codec.signals_any_status
    yield from (f"## {kind.value}", "")
    if family is not None and not (own or always):
        yield from (f"No errors of its own: see {family.link}.", "")
    yield from _table("any status", ((_in_full(signal), _meaning(signal)) for signal in always))
    after = ((f"*those of {family.link}*", ""),) if family is not None and (own or always) else ()
    yield from _table(_4XX, (*((_in_full(signal), _meaning(signal)) for signal in own), *after))
    if family is None:
        yield from _table("stop reason", _finished(codec.finishes))
    yield from _table("answer", _sampled(ANSWERS_OF.get(kind, ())))


def _table(head: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A table and an empty line; nothing for no rows."""
    lines = [f"| {signal.replace('|', '/')} | {outcome} |" for signal, outcome in rows]
    if lines:
        yield from (f"| {head} | outcome |", "|---|---|", *lines, "")


def _sampled(samples: Iterable[Sample]) -> Iterator[tuple[str, str]]:
    for sample in samples:
        yield sample.says, _told(sample.outcome)


def _finished(finishes: Mapping[str | None, Finish]) -> Iterator[tuple[str, str]]:
    """The vendor's words for why a model stopped, by what they come to."""
    for finish in Finish:
        words = [
            f"`{word}`" if word is not None else "none given" for word, known in finishes.items() if known is finish
        ]
        if finish is Finish.BROKEN:
            words.append("any other" if None in finishes else "any other, or none")
        if words:
            spoken = Spoken(content="hi", finish=finish, finish_reason=words[0], model=None)
            outcome = _told(judge(spoken, tier(), None))
            yield ", ".join(words), outcome if finish in (Finish.REFUSED, Finish.BROKEN) else f"{outcome}, or empty"


def _in_full(signal: Signal) -> str:
    """The signal in words, with every code that the words leave out."""
    unsaid = sorted(name for name in signal.names if name not in signal.says.lower())
    # A single name that no words mention is one that the codec itself gives to a shape.
    return f"{signal.says} ({_listed(unsaid)})" if unsaid and len(signal.names) > 1 else signal.says


def _meaning(signal: Signal) -> str:
    told = signal.outcome.value
    if signal.outcome is OutcomeKind.EXHAUSTED:
        return f"{told}, for a time" if signal.reset_s is not None else f"{told}, until an operator"
    return f"{told}, may be billed" if signal.may_be_billed else told


def _told(outcome: Outcome) -> str:
    billed = isinstance(outcome, Transient) and outcome.may_be_billed
    return f"{outcome.kind.value}, may be billed" if billed else outcome.kind.value


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    sys.stdout.write(page())
