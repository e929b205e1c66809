"""The commands together, and those that other packages add by the entry point `runbook.commands`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points, version

import typer

from runbook_lib.cli import checking, opening, reading, running, serving
from runbook_lib.errors import ConfigurationError

__all__ = ["COMMANDS", "ENTRY_POINTS", "application"]

ENTRY_POINTS = "runbook.commands"

COMMANDS: dict[str, Callable[..., None]] = {
    "list": reading.list_runbooks,
    "run": running.run,
    "open": opening.open_notebook,
    "doctor": checking.doctor,
    "incidents": reading.incidents,
    "report": reading.report,
    "serve": serving.serve,
    "lint": checking.lint,
}

_HELP = """Runbooks that run: notebooks that diagnose an incident, propose guarded fixes, and archive themselves as the report.

\b
At 3 am:
  runbook run high_error_rate --service orders --env prod
  runbook open high_error_rate --service orders --env prod

Exit codes: 0 the run completed, whatever it found; 1 something outside went wrong, such as a full disk; 2 usage or configuration;
4 the notebook failed, its archive is kept.
"""


def application(arguments: list[str]) -> typer.Typer:
    """The command line for these arguments.

    Commands of other packages are only loaded when one of them is called or all are listed: theirs may be slow to import.
    """
    app = typer.Typer(
        help=_HELP, add_completion=True, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    app.callback()(_options)
    for name, command in COMMANDS.items():
        app.command(name)(command)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    if called not in COMMANDS:
        _add(app, entry_points(group=ENTRY_POINTS), called)
    return app


def _add(app: typer.Typer, found: Iterable[EntryPoint], called: str | None) -> None:
    for point in found:
        if called is not None and point.name != called:
            continue
        try:
            command = point.load()
        except ImportError as error:
            if called is not None:
                raise ConfigurationError(
                    f"the command {point.name} needs more packages: {error}; pip install 'runbook-notebooks[lab]'"
                ) from error
            continue
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=point.name)
        else:
            app.command(point.name)(command)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"runbook {version('runbook-notebooks')}")
        raise typer.Exit


def _options(
    _: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
) -> None:
    pass
