"""The `pointsman` command: global options, and errors as one line with an exit code."""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from pointsman_queue import Settings
from pointsman_routes import ConfigError, PointsmanError

from . import (
    audit_commands,
    demo_command,
    job_commands,
    route_commands,
    service_commands,
    status_command,
    submit_command,
)
from .logs import configure_logs
from .screen import flush, give_up, say

INTERRUPTED = 130

app = typer.Typer(
    name="pointsman",
    help="Routes every LLM job down the right track and signs the log.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(job_commands.app, name="jobs")
app.add_typer(route_commands.app, name="routes")
app.add_typer(audit_commands.app, name="audit")
service_commands.register(app)
submit_command.register(app)
status_command.register(app)
demo_command.register(app)


@app.callback()
def settings_of(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="The configuration. [POINTSMAN_CONFIG]")] = None,
    redis: Annotated[str | None, typer.Option(help="Redis URL. [POINTSMAN_REDIS_URL]")] = None,
    ledger: Annotated[str | None, typer.Option(help="Ledger URL. [POINTSMAN_LEDGER_URL]")] = None,
    home: Annotated[Path | None, typer.Option(help="Folder of the embedded services. [POINTSMAN_HOME]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    """Routes every LLM job down the right track and signs the log."""
    given = {"config": config, "redis_url": redis, "ledger_url": ledger, "home": home}
    configure_logs(verbose=verbose)
    context.obj = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # options, by name


def main() -> NoReturn:
    """Run the command; every error is one line on standard error."""
    command = typer.main.get_command(app)
    try:
        code = command.main(prog_name="pointsman", standalone_mode=False)
        flush()
    except PointsmanError as error:
        _complain(error)
        code = error.exit_code
    except ValidationError as error:
        first = error.errors()[0]
        say(f"pointsman: POINTSMAN_{str(first['loc'][0]).upper()}: {_without_kind(first['msg'])}")
        code = 2
    except typer.TyperException as error:
        code = _usage(error)
    except typer.Abort:
        code = INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has had enough. Typer and rich want to exit then; nobody else does.
        give_up()
        code = 0
    # Typer makes a code of Ctrl-C.
    if code == INTERRUPTED:
        say("pointsman: interrupted")
    sys.exit(int(code or 0))


def _usage(error: typer.TyperException) -> int:
    message = str(getattr(error, "format_message", error.__str__)())
    if "\n" in message:
        say(message)  # the help, asked for by giving no command
    else:
        say(f"pointsman: {_without_kind(message)} See `{_command(error)} --help`.")
    return 2


def _without_kind(message: str) -> str:
    """The message without what pydantic puts in front."""
    return message.replace("Value error, ", "")


def _command(error: typer.TyperException) -> str:
    """The command that was meant, as far as it was understood."""
    context = getattr(error, "ctx", None)
    return "pointsman" if context is None else str(context.command_path)


def _complain(error: PointsmanError) -> None:
    if isinstance(error, ConfigError):
        for problem in error.problems:
            say(f"pointsman: {problem}")
    else:
        say(f"pointsman: {error}")
