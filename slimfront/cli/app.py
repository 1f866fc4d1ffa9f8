"""The commands in one table."""

from __future__ import annotations

from typing import Annotated

import typer

import slimfront
from slimfront.cli import (
    cancel,
    certify,
    claimed,
    delete,
    demo,
    doctor,
    export,
    front,
    gc,
    listing,
    measure,
    plan,
    report,
    run,
    sensitivity,
    show,
    status,
    store,
    submit,
    watch,
    work,
)

app = typer.Typer(
    name="slimfront",
    help="Compress a trained PyTorch model: take back the measured front of smaller, faster models.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

START = "Search"
QUEUE = "Queue"
RESULTS = "Results"
HELP = "Getting started"
app.command(rich_help_panel=START)(plan.plan)
app.command(rich_help_panel=START)(run.run)
app.command(rich_help_panel=START)(run.resume)
app.command(rich_help_panel=QUEUE)(submit.submit)
app.command(rich_help_panel=QUEUE)(work.work)
app.command(rich_help_panel=QUEUE)(watch.watch)
app.command(rich_help_panel=QUEUE)(cancel.cancel)
app.command(hidden=True)(claimed.claimed)
app.command(name="list", rich_help_panel=RESULTS)(listing.list_studies)
app.command(rich_help_panel=RESULTS)(status.status)
app.command(rich_help_panel=RESULTS)(front.front)
app.command(rich_help_panel=RESULTS)(show.show)
app.command(rich_help_panel=RESULTS)(sensitivity.sensitivity)
app.command(rich_help_panel=RESULTS)(report.report)
app.command(rich_help_panel=RESULTS)(measure.measure)
app.command(rich_help_panel=RESULTS)(certify.certify)
app.command(rich_help_panel=RESULTS)(export.export)
app.command(rich_help_panel=RESULTS)(delete.delete)
app.command(rich_help_panel=RESULTS)(gc.gc)
app.command(rich_help_panel=HELP)(demo.demo)
app.command(rich_help_panel=HELP)(doctor.doctor)
app.add_typer(store.app, name="store", rich_help_panel=HELP)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slimfront {slimfront.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001  (its callback acts)
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Compress a trained PyTorch model: take back the measured front of smaller, faster models."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
