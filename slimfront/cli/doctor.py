"""`slimfront doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.codes import FAILED
from slimfront.cli.options import AsJson, StoreUrl
from slimfront.cli.output import out, print_json
from slimfront.cli.progress import watching
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from rich.console import Console

    from slimfront.checks import Checkup
    from slimfront.latency import LatencyReport


def doctor(
    context: typer.Context,
    latency: Annotated[
        str | None,
        typer.Option("--latency", metavar="STUDY", help="Measure how well the study's latency table predicts."),
    ] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Check the installation, the home folder, the database and what the machine is good at."""
    if latency is not None:
        _latency(context, latency, store, json)
        return
    from slimfront.checks import examine

    checkup = examine(store)
    if json:
        print_json(checkup.to_dict())
    else:
        _print_checkup(out(), checkup)
    if not checkup.ok:
        raise typer.Exit(FAILED)


def _print_checkup(console: Console, checkup: Checkup) -> None:
    from rich.text import Text

    for check in checkup.checks:
        mark = Text("ok    " if check.ok else "BROKEN", style="green" if check.ok else "bold red")
        console.print(mark.append(f"  {check.name:<10} {check.detail}", style="none"), soft_wrap=True)
    found = [f"{name} {number}" for name, number in checkup.versions.items() if number is not None]
    console.print(Text(f"        versions   {', '.join(found)}", style="dim"), soft_wrap=True)


def _latency(context: typer.Context, study: str, store: str | None, json: bool) -> None:
    with opened(store) as (home, studies):
        studies.study(study)  # a name that is not there is said at once
        from slimfront.latency import latency_report

        with watching(context.obj) as progress:
            report = latency_report(studies, home, study, progress)
    if json:
        print_json(report.to_dict())
    else:
        _print_latency(out(), report)


def _print_latency(console: Console, report: LatencyReport) -> None:
    console.print(f"{report.study}: random plans, predicted by the latency table and measured", soft_wrap=True)
    for kind, error in report.errors.items():
        console.print(f"{kind}: {error.text}", soft_wrap=True, markup=False)
    console.print(report.hardware, soft_wrap=True, markup=False)
    if report.table != report.hardware:
        console.print(f"the table is of another machine: {report.table}", soft_wrap=True, markup=False)
