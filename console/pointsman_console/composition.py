"""The composition root: the one place where clients are built and the environment is read.

The worker's and the ledger's rooms bring SQLAlchemy, aiohttp and more; they are imported where they are needed, so that
`status` and `submit` start at once.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from arq import ArqRedis

from pointsman_queue import (
    JobPlaces,
    JobQueue,
    Observer,
    Outbox,
    OverdueLeases,
    ReconcilerTurn,
    RecorderBoard,
    Settings,
    Switchboard,
    TierProfile,
    TierQueue,
    connect,
)
from pointsman_routes import (
    ConfigError,
    KeyRecord,
    Problem,
    Provider,
    Rate,
    RouteTable,
    ServiceUnavailable,
    Tier,
    UsageProblem,
    check_surroundings,
    read_route_table,
)

from .record_post import RecordPost
from .redrive import Redrive

if TYPE_CHECKING:
    from pointsman_audit import Ledger, Migration, MigrationProgress, Notary, Recorder, Roles, Yard
    from pointsman_worker import HttpDesk, TierWorker

log = structlog.get_logger()

DEFAULT_SLOTS = 128
"""Calls one worker has in flight at a tier whose concurrency is not limited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The queue's ports over one Redis connection pool."""

    redis: ArqRedis
    jobs: JobQueue
    switchboard: Switchboard
    observer: Observer
    outbox: Outbox


def load_table(settings: Settings) -> RouteTable:
    """Read the configuration.

    Raises:
        ConfigError: it is missing or has mistakes.
    """
    try:
        text = settings.config.read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = Problem(str(settings.config), "no such file", "write one, or name it with --config")
        raise ConfigError([problem]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or "not readable"
        raise ConfigError([Problem(str(settings.config), reason, "correct the file")]) from None
    return read_route_table(text, settings.config)


def surrounding_problems(settings: Settings, table: RouteTable, *, keys: bool = True) -> list[Problem]:
    """What is wrong around a valid table: unset keys, unknown prices."""
    from pointsman_worker import rate_for

    def why_no_key(provider: Provider) -> str | None:
        return why_key_unread(settings, provider) if keys else None

    def priced(provider: Provider, tier: Tier) -> bool:
        return rate_for(provider, tier) is not None

    return check_surroundings(table.providers, priced=priced, key_problem=why_no_key)


def why_key_unread(settings: Settings, provider: Provider) -> str | None:
    """Why the provider's key cannot be read here; None if it can."""
    from pointsman_worker import key_problem, sigv4_problem

    return key_problem(provider, os.environ, settings.config.absolute().parent) or sigv4_problem(provider)


@asynccontextmanager
async def open_line(settings: Settings) -> AsyncIterator[Line]:
    """Connect to Redis.

    Raises:
        ServiceUnavailable: it does not answer; for the embedded one the message says how to start it.
    """
    try:
        redis = await connect(settings.effective_redis_url, connections=64)
    except ServiceUnavailable:
        if settings.redis_url is not None:
            raise
        raise ServiceUnavailable(
            f"no Redis is running under {settings.home}; start it with `pointsman up`, or set POINTSMAN_REDIS_URL"
        ) from None
    try:
        yield Line(
            redis=redis,
            jobs=JobQueue(redis, keep_results=settings.keep_results),
            switchboard=Switchboard(redis),
            observer=Observer(redis),
            outbox=Outbox(redis),
        )
    finally:
        await redis.aclose(close_connection_pool=True)


@asynccontextmanager
async def open_ledger(settings: Settings, *, make: bool = False) -> "AsyncIterator[Ledger]":
    """Open the ledger; with `make` make it first if it is not there."""
    from pointsman_audit import Ledger

    async with Ledger.open(settings.effective_ledger_url, make=make) as ledger:
        yield ledger


async def migrate_ledger(
    settings: Settings, progress: "MigrationProgress", roles: "Roles | None" = None
) -> "tuple[str, Migration]":
    """Make the ledger, or bring it to this version; says which it is and what was done.

    Args:
        settings: where things are.
        progress: told how many old records are done, and of how many.
        roles: database roles that are given their rights.
    """
    from pointsman_audit import Ledger

    ledger = Ledger(settings.effective_ledger_url)
    try:
        return ledger.address, await ledger.migrate(progress, roles)
    finally:
        await ledger.close()


@asynccontextmanager
async def open_recorder(settings: Settings) -> "AsyncIterator[Recorder]":
    """A recorder between this Redis and this ledger."""
    from pointsman_audit import PolicySupply, Reconciler, Recorder, RecorderHealth

    async with open_line(settings) as line, open_ledger(settings, make=True) as ledger:
        notary = await open_notary(settings, ledger)
        table, name = table_if_readable(settings), process_name()
        reconciler = Reconciler(ledger, yard_of(settings, line, table))
        health = RecorderHealth(
            RecorderBoard(line.redis, name),
            ledger,
            unsigned=lambda: notary.unsigned,
            counts=lambda: reconciler.counts,
        )
        async with health.telling():
            policies = PolicySupply(line.outbox, ledger, table, f"recorder {name}")
            yield Recorder(line.outbox, ledger, policies=policies, duties=[notary, reconciler, health])


def process_name() -> str:
    """A name for something of this process that nobody else has."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"


def table_if_readable(settings: Settings) -> RouteTable | None:
    """The configuration; None, and a word in the log, where it is missing or has mistakes: recording needs none."""
    try:
        return load_table(settings)
    except ConfigError as error:
        log.warning("reconciler.no_configuration", path=str(settings.config), error=str(error))
        return None


def yard_of(settings: Settings, line: Line, table: RouteTable | None) -> "Yard":
    """What a reconciler works with; without a configuration it takes no job in and returns no lease."""
    from pointsman_audit import Yard

    name = process_name()
    redriver = leases = None
    if table is not None:
        redriver = Redrive.under(table, line.outbox, f"reconciler {name}")
        queue = TierQueue(line.redis, worker=f"reconciler {name}", keep_results=settings.keep_results)
        profiles = {tier: TierProfile.of(table, tier, rate) for tier, rate in _rates(table, ()).items()}
        leases = OverdueLeases(line.redis, queue, profiles)
    return Yard(
        outbox=line.outbox,
        jobs=line.jobs,
        places=JobPlaces(line.redis),
        turn=ReconcilerTurn(line.redis, name),
        redriver=redriver,
        leases=leases,
    )


async def open_notary(settings: Settings, ledger: "Ledger") -> "Notary":
    """A notary of the ledger, which has signed all there is by now."""
    from pointsman_audit import Notary

    return await Notary.begin(ledger, settings.effective_signing_key, settings.effective_checkpoints)


@asynccontextmanager
async def open_desk(
    settings: Settings,
    table: RouteTable,
    tiers: Iterable[str],
    *,
    connections: int,
    renewed: Callable[[Provider], object] | None = None,
) -> "AsyncIterator[HttpDesk]":
    """Connections to the vendors of some tiers. Needs neither Redis nor the ledger.

    Args:
        settings: where things are.
        table: the route table.
        tiers: names of its tiers.
        connections: most of them open at once.
        renewed: told of a provider whose key file holds another key than before.

    Raises:
        KeyMissing: the key of one of them cannot be read.
    """
    from pointsman_worker import ApiKey, CodecShelf, HttpDesk, build_client, read_key

    base = settings.config.absolute().parent

    def read(provider: Provider) -> ApiKey | None:
        return read_key(provider.api_key, os.environ, base)

    providers = [table.providers[name] for name in dict.fromkeys(table.tiers[tier].provider for tier in tiers)]
    codecs = CodecShelf(providers, read, base, renewed=renewed)
    client = build_client(connections)
    try:
        yield HttpDesk(table, codecs, client)
    finally:
        await client.aclose()


@asynccontextmanager
async def open_worker(
    settings: Settings,
    table: RouteTable,
    tiers: Sequence[str],
    *,
    slots: int | None = None,
    grace: timedelta = timedelta(seconds=30),
    burst: bool = False,
) -> "AsyncIterator[TierWorker]":
    """A worker bound to some tiers, with connections to their vendors.

    Args:
        settings: where things are.
        table: the route table.
        tiers: names of its tiers.
        slots: calls in flight at once for each tier; the tier's own concurrency when absent.
        grace: how long running calls may go on after a signal.
        burst: end once nothing is left to do.

    Raises:
        UsageProblem: a tier is unknown, or its key or price is missing.
        QueueFull: Redis has no room to tell the ledger of a policy it does not know; nothing is decided under one.
        ServiceUnavailable: Redis does not answer.
    """
    from pointsman_worker import Dispatcher, Office, Settler, TierWorker, WorkerPlan

    _check_tiers(table, tiers)
    rates = _rates(table, tiers)
    width = {tier: slots or table.tiers[tier].limits.concurrency or DEFAULT_SLOTS for tier in tiers}
    worker_id = process_name()
    post = RecordPost()

    def tell(provider: Provider) -> None:
        post.post(KeyRecord(scope=provider.name, owner=provider.owner, by=f"worker {worker_id}"))

    opened = open_desk(settings, table, tiers, connections=sum(width.values()), renewed=tell)
    async with opened as desk, open_line(settings) as line, post.bound_for(line.outbox):
        await line.outbox.announce("worker", table, f"worker {worker_id}")
        queue = TierQueue(line.redis, worker=worker_id, keep_results=settings.keep_results)
        settler = Settler(queue)
        office = Office(worker=worker_id, table=table, rates=rates)
        dispatcher = Dispatcher(office, desk, settler, line.switchboard)
        dearest = max(rates.values(), key=lambda rate: rate.price.input + rate.price.output)
        plan = WorkerPlan(
            profiles={tier: TierProfile.of(table, tier, rates[tier]) for tier in tiers},
            slots=width,
            others=tuple(TierProfile.of(table, tier, rate) for tier, rate in rates.items() if tier not in tiers),
            removed=lambda name: None if name in table.tiers else TierProfile.of_removed(table, name, dearest),
            grace=grace,
            burst=burst,
        )
        yield TierWorker(
            plan, redis=line.redis, queue=queue, dispatcher=dispatcher, settler=settler, worker_id=worker_id
        )


def _check_tiers(table: RouteTable, tiers: Sequence[str]) -> None:
    known = ", ".join(table.tiers)
    if not tiers:
        raise UsageProblem(f"name at least one tier; the configuration has: {known}")
    for tier in tiers:
        if tier not in table.tiers:
            raise UsageProblem(f"unknown tier {tier!r}; the configuration has: {known}")


def _rates(table: RouteTable, needed: Sequence[str]) -> dict[str, Rate]:
    """Prices by tier. A tier of ours without one is an error; one of another worker's is left to that worker."""
    from pointsman_worker import rate_for

    rates: dict[str, Rate] = {}
    for name, tier in table.tiers.items():
        rate = rate_for(table.provider_of(name), tier)
        if rate is not None:
            rates[name] = rate
        elif name in needed:
            remedy = "write price = { input = ..., output = ... } in USD per million tokens"
            where = f"providers.{name.replace('/', '.tiers.')}.price"
            raise ConfigError([Problem(where, f"no price is known for the model {tier.model!r}", remedy)])
    return rates
