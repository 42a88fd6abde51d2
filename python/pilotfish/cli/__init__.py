"""The command line: ``pilotfish run | check | status | health | reload | drain | state | profile | ...``.

Commands read their arguments, call one thing and print; whatever they call is imported when it is needed, so
that ``--help`` answers at once. Exit codes: 0 done, 1 failed, 2 usage or configuration.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pilotfish.cli import backtest, control, demo, profile, run, state, status, tune
from pilotfish.errors import PilotfishError


class _Group(TyperGroup):
    """Ends the process with an error's own message and exit code instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PilotfishError as exc:
            typer.echo(str(exc), err=True)
            raise typer.Exit(exc.exit_code) from exc


app = typer.Typer(
    name="pilotfish",
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    rich_markup_mode=None,  # plain help: printed 0.2 s sooner, and copied as it stands
    help="A gRPC sidecar for machine-learning models: it forwards every call untouched, decides which "
    "version of the model answers, and says when the data drift.",
    epilog="\b\nBegin with:\n  pilotfish run --upstream HOST:PORT\nand point your client to 127.0.0.1:9000.\n"
    "\n"
    "Exit codes: 0 done, 1 failed, 2 usage or configuration.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from pilotfish import __version__

        typer.echo(f"pilotfish {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version  # its callback has done all


app.command(epilog=run.RUN_EXAMPLES)(run.run)
app.command(epilog=run.CHECK_EXAMPLES)(run.check)
app.command(epilog=run.SCHEMA_EXAMPLES)(run.schema)
app.command(epilog=status.EXAMPLES)(status.status)
app.command(epilog=control.HEALTH_EXAMPLES)(control.health)
app.command(epilog=control.RELOAD_EXAMPLES)(control.reload)
app.command(epilog=control.DRAIN_EXAMPLES)(control.drain)
app.add_typer(profile.app, name="profile")
app.add_typer(state.app, name="state")
app.command(epilog=backtest.EXAMPLES)(backtest.backtest)
app.command(epilog=tune.EXAMPLES)(tune.tune)
app.command(epilog=demo.EXAMPLES)(demo.demo)


def main() -> None:
    """Entry point of the command ``pilotfish``."""
    app()
