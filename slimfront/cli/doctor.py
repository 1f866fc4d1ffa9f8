"""`slimfront doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.codes import FAILED
from slimfront.cli.options import AsJson, StoreUrl, TrustCode
from slimfront.cli.output import out, print_json
from slimfront.cli.progress import watching
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from rich.console import Console

    from slimfront.checks import Checkup
    from slimfront.latency import LatencyReport
    from storage.home import Home


def doctor(
    context: typer.Context,
    latency: Annotated[
        str | None,
        typer.Option("--latency", metavar="STUDY", help="Measure how well the study's latency table predicts."),
    ] = None,
    store: StoreUrl = None,
    trust_code: TrustCode = False,
    json: AsJson = False,
) -> None:
    """Check the installation, home, database, clock and Ray, and say what the machine is good at."""
    if latency is not None:
        _latency(context, latency, store, trust_code, json)
        return
    from slimfront.checks import examine

    checkup = examine(store, start_ray=True)
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


def _latency(context: typer.Context, study: str, store: str | None, trust_code: bool, json: bool) -> None:
    with opened(store) as (home, studies):
        studies.study(study)  # a name that is not there is said at once
        from slimfront.latency import latency_report

        with watching(context.obj) as progress:
            report = latency_report(studies, home, study, progress, trust_code)
    if json:
        print_json(report.to_dict())
    else:
        print_latency(out(), report, home)


def print_latency(console: Console, report: LatencyReport, home: Home) -> None:
    """Prints how far predictions are off, and what to do where that is much."""
    from searcher.latency_check import ALL
    from searcher.stages.latency_table import FOLDER, WANTED_ERROR

    console.print(f"{report.study}: random plans, predicted by the latency table and measured", soft_wrap=True)
    for kind, error in report.errors.items():
        console.print(f"{kind}: {error.text}", soft_wrap=True, markup=False)
    console.print(report.hardware, soft_wrap=True, markup=False)
    if report.table != report.hardware:
        console.print(f"the table is of another machine: {report.table}", soft_wrap=True, markup=False)
    elif report.errors[ALL].median_error > WANTED_ERROR:
        console.print(
            f"the predictions are off by more than {100 * WANTED_ERROR:.0f} % in the median, and candidates are chosen "
            "by them: if other programs disturbed the timing, now or then, end them, remove "
            f"{home.cache / FOLDER} and run a new study",
            soft_wrap=True,
            markup=False,
        )
