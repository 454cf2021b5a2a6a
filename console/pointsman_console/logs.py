"""Logs: JSON when nobody is watching, allow-listed fields, never prompts, keys or headers."""

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "exception",
        "attempts", "batch_id", "by", "command", "count", "cursor", "done", "entry_id", "error", "exit_code", "fence",
        "given_back", "job_id", "key_id", "ledger", "name", "path", "pid", "provider", "reason", "seq", "settlements",
        "source", "task_class", "tier", "tiers", "to", "url", "wait_s", "worker",
    }
)  # fmt: skip
"""What may stand in a log line. Anything else is dropped, however it came to be there."""


def configure_logs(*, verbose: bool = False, stream: TextIO | None = None) -> None:
    """Send logs to a stream.

    Args:
        verbose: log more.
        stream: standard error when absent, so that standard output holds nothing but what was asked for.
    """
    stream = stream or sys.stderr
    level = logging.DEBUG if verbose else logging.INFO
    people = stream.isatty()
    last: Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if people
        else structlog.processors.JSONRenderer()
    )
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not people:
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, _keep_allowed, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        # Loggers are not cached: what is configured last holds for those that were made before, too.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=stream, format="%(levelname)s %(name)s %(message)s")
    # arq tells its signals at INFO and at WARNING what this house logs itself.
    logging.getLogger("arq").setLevel(logging.ERROR)
    # The pool tells with a traceback that it could not close a connection, as after Ctrl-C; what matters is raised.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


def _keep_allowed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: value for name, value in event.items() if name in ALLOWED or name == "exc_info"}
