"""`slimfront report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slimfront.cli.options import StoreUrl, StudyName
from slimfront.cli.output import note, out, size
from slimfront.cli.session import opened


def report(
    study: StudyName,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A new file, or an earlier report; STUDY.html."),
    ] = None,
    store: StoreUrl = None,
) -> None:
    """Write a study's report: one HTML file with front, table, plans, sensitivity and hypervolume."""
    with opened(store) as (home, studies):
        studies.study(study)  # a name that is not there is said at once
        from dashboards.report.file import write_report
        from dashboards.study import read_study

        path = file if file is not None else Path(f"{study}.html")
        done = write_report(read_study(studies, study), home, path)
    if done.replaced:
        note(f"an earlier report in {done.path} has been replaced")
    out().print(f"{done.path} ({size(done.size_bytes)})", soft_wrap=True, markup=False)
