"""`pointsman routes test`: one real call to each tier, now."""

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from pointsman_queue import Settings
from pointsman_routes import Evidence, Job, RouteTable, ServiceUnavailable, UsageProblem

from . import screen
from .composition import Line, load_table, open_desk, open_line, why_key_unread
from .embedded_redis import has_run
from .forecast import in_words
from .gate_words import short
from .trial import NOT_CALLED, Trial, TrialBench

_PROMPT: Final = "Reply with the word ready."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is asked for on the command line."""

    tiers: tuple[str, ...]
    job: Job
    at_once: int
    even_disabled: bool
    without_redis: bool
    as_json: bool


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("test")(try_tiers)


def try_tiers(
    context: typer.Context,
    tiers: Annotated[list[str] | None, typer.Argument(metavar="TIER", help="provider/tier; default: all.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="The tiers on the route of this class.")] = None,
    prompt: Annotated[str, typer.Option(help="What to ask; it goes to every tier named, whatever its region.")] = (
        _PROMPT
    ),
    max_tokens: Annotated[int, typer.Option(min=1, help="Of the answer; a model that thinks needs some.")] = 64,
    at_once: Annotated[int, typer.Option(min=1, help="Most calls in flight.")] = 8,
    even_disabled: Annotated[bool, typer.Option("--even-disabled", help="Call what is switched off too.")] = False,
    without_redis: Annotated[
        bool, typer.Option("--without-redis", help="Record nothing, and call whatever is switched off.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Make one real call to each tier, and show what came back.

    The calls are made side by side, and billed. They are no jobs: no limit counts them, and nothing waits. Each is in
    the ledger as an attempt (`pointsman audit list --kind attempt`), and a tier an operator has switched off is not
    called. With no Redis here yet there are no switches to keep and nothing is recorded; one that should be there and
    does not answer ends the command, unless --without-redis. Exit 0 if every tier answered, 1 if not.
    """
    settings: Settings = context.obj
    table = load_table(settings)
    order = _Order(
        tiers=_chosen(table, tiers or [], class_name),
        job=_job(prompt, max_tokens),
        at_once=at_once,
        even_disabled=even_disabled,
        without_redis=without_redis,
        as_json=as_json,
    )
    raise typer.Exit(asyncio.run(_test(settings, table, order)))


async def _test(settings: Settings, table: RouteTable, order: _Order) -> int:
    from pointsman_worker import rate_for  # here, so that checking a route table starts no HTTP library

    unread = {tier: why_key_unread(settings, table.provider_of(tier)) for tier in order.tiers}
    unreachable = {tier: reason for tier, reason in unread.items() if reason is not None}
    rates = {tier: rate for tier in order.tiers if (rate := rate_for(table.provider_of(tier), table.tiers[tier]))}
    callable_tiers = [tier for tier in order.tiers if tier not in unreachable]
    opened = open_desk(settings, table, callable_tiers, connections=order.at_once)
    async with _line(settings, order) as line, opened as desk:
        bench = TrialBench(
            table=table,
            desk=desk,
            rates=rates,
            by=f"{getpass.getuser()}@{socket.gethostname()}",
            unreachable=unreachable,
            outbox=line.outbox if line else None,
            switchboard=line.switchboard if line and not order.even_disabled else None,
        )
        with screen.progress_bar() as bar:
            task = bar.add_task("asking", total=len(order.tiers))
            trials = await bench.run(order.tiers, order.job, at_once=order.at_once, done=lambda _: bar.advance(task))
    rows = [trial_facts(table, trial) for trial in trials]
    if order.as_json:
        for row in rows:
            screen.line(row)
    else:
        _show(rows)
    failed = [trial.tier for trial in trials if not trial.good]
    screen.say(f"{len(trials) - len(failed)} of {len(trials)} tiers answered")
    return 1 if failed else 0


@asynccontextmanager
async def _line(settings: Settings, order: _Order) -> AsyncIterator[Line | None]:
    """Redis, if there is one. A switch is never overlooked because the Redis that knows of it is down."""
    never_there = settings.redis_url is None and not has_run(settings)
    if order.without_redis or never_there:
        why = "as asked" if order.without_redis else f"there is no Redis under {settings.home}"
        screen.say(f"{why}: these calls are not recorded, and no switch is looked at")
        yield None
        return
    async with AsyncExitStack() as opened:
        try:
            line = await opened.enter_async_context(open_line(settings))
        except ServiceUnavailable as outage:
            raise ServiceUnavailable(
                f"{outage}; or add --without-redis: calls are not recorded then, and reach what is switched off too"
            ) from None
        yield line


def trial_facts(table: RouteTable, trial: Trial) -> dict[str, Any]:
    """A trial for a program. None is unknown, never zero."""
    tier, provider = table.tiers[trial.tier], table.provider_of(trial.tier)
    evidence = trial.report.evidence if trial.report is not None else Evidence()
    counted = trial.usage if trial.usage_source == "vendor" else None
    served = evidence.response_model
    return {
        "tier": trial.tier,
        "provider": provider.name,
        "answered": trial.good,
        "outcome": trial.outcome,
        "detail": trial.detail,
        "latency_s": None if trial.seconds is None else round(trial.seconds, 3),
        "http_status": evidence.http_status,
        "model": tier.model,
        "response_model": served,
        "model_matches": None if served is None else tier.serves(served),
        "region": provider.region,
        "response_region": evidence.response_region,
        "upstream": evidence.upstream,
        "service_tier": evidence.service_tier,
        "finish_reason": evidence.finish_reason,
        "said": trial.said,
        "input_tokens": counted.input_tokens if counted else None,
        "output_tokens": counted.output_tokens if counted else None,
        "reasoning_tokens": counted.reasoning_tokens if counted else None,
        "usage_source": trial.usage_source,
        "cost_microusd": trial.cost_microusd,
        "told_microusd": evidence.told_microusd,
        "price_source": trial.rate.source if trial.rate else None,
        "limits": [asdict(allowance) for allowance in evidence.allowances],
        "provider_request_id": evidence.provider_request_id,
        "job_id": trial.job_id,
    }


def _show(rows: Sequence[dict[str, Any]]) -> None:
    screen.table(
        ("TIER", "OUTCOME", "TIME", "MODEL", "WHERE", "TOKENS", "MICRO-USD", "LEFT OF LIMITS"),
        (
            (
                row["tier"], _lines(row["outcome"], row["finish_reason"]), _time(row), _model(row),
                _lines(row["response_region"], row["upstream"], row["service_tier"]), _tokens(row), _cost(row),
                _lines(*(_allowance(**entry) for entry in row["limits"])),
            )
            for row in rows
        ),
        whole={"TIER", "TIME", "TOKENS", "MICRO-USD", "LEFT OF LIMITS"},
        right={"TIME", "MICRO-USD"},
    )  # fmt: skip
    told = [f"{row['tier']}: {row['detail']}" for row in rows if row["detail"] is not None]
    if told:
        screen.tell("\n" + "\n".join(told))


def _lines(*facts: str | None) -> str:
    return "\n".join(filter(None, facts)) or "-"


def _time(row: dict[str, Any]) -> str:
    return "-" if row["latency_s"] is None else f"{row['latency_s']:.2f}s"


def _model(row: dict[str, Any]) -> str:
    if row["response_model"] is None:
        return "not told" if row["answered"] else "-"
    return _lines(row["response_model"], None if row["model_matches"] else f"is not {row['model']}")


def _tokens(row: dict[str, Any]) -> str:
    if row["usage_source"] != "vendor":
        return "unknown" if row["usage_source"] == "estimate" else "-"
    thought = row["reasoning_tokens"]
    return _lines(f"in {row['input_tokens']}", f"out {row['output_tokens']}", f"thought {thought}" if thought else None)


def _cost(row: dict[str, Any]) -> str:
    if row["outcome"] == NOT_CALLED:
        return "-"
    told = row["told_microusd"]
    cost = "unknown" if row["cost_microusd"] is None else str(row["cost_microusd"])
    return _lines(cost, None if told is None else f"told {told}")


def _allowance(name: str, limit: int | None, remaining: int | None, reset_s: float | None) -> str:
    figures = "/".join("?" if figure is None else short(figure) for figure in (remaining, limit))
    return f"{name} {figures}" + ("" if reset_s is None else f" full in {in_words(reset_s)}")


def _chosen(table: RouteTable, named: Sequence[str], class_name: str | None) -> tuple[str, ...]:
    """The tiers asked for, each once, in the order given."""
    unknown = next((tier for tier in named if tier not in table.tiers), None)
    if unknown is not None:
        raise UsageProblem(f"unknown tier {unknown!r}; the configuration has: {', '.join(table.tiers)}")
    if class_name is None:
        return tuple(dict.fromkeys(named or table.tiers))
    if named:
        raise UsageProblem("name tiers or a --class, not both")
    if class_name not in table.classes:
        raise UsageProblem(f"unknown class {class_name!r}; the configuration has: {', '.join(table.classes)}")
    return table.classes[class_name].route


def _job(prompt: str, max_tokens: int) -> Job:
    try:
        return Job.model_validate(
            {
                "custom_id": "routes-test",
                "class": "routes-test",
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": max_tokens,
            }
        )
    except ValidationError as error:
        raise UsageProblem(f"--prompt or --max-tokens: {error.errors()[0]['msg']}") from None
