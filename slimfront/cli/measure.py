"""`slimfront measure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slimfront.cli.options import AsJson, StoreUrl, StudyName
from slimfront.cli.output import milliseconds, out, print_json
from slimfront.cli.progress import watching
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from rich.console import Console

    from dashboards.timing import TimingView

UNKNOWN = "-"


def measure(
    context: typer.Context,
    study: StudyName,
    runtime: Annotated[
        str | None, typer.Option("--runtime", metavar="NAME", help="Another runtime than the study's.")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of a call; the study's own.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, help="Images of a call; the study's own.")] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Measure the files of a front again, on this machine or on another runtime, and keep the figures."""
    with opened(store) as (home, studies):
        stored = studies.study(study)  # a name that is not there is said at once
        from dashboards.study import read_study
        from dashboards.timing import timing_view
        from searcher.measure import measure_front
        from slimfront.submit import known_names
        from storage.errors import FixInputError
        from storage.records.config import StudyConfig

        name = runtime or StudyConfig.from_json(stored.config_json).runtime.name
        if name not in known_names().runtimes:
            known = ", ".join(known_names().runtimes)
            raise FixInputError(f"--runtime {name} is not known; the runtimes are {known}")
        with watching(context.obj) as progress:
            timing = measure_front(studies, home, study, name, threads, batch, progress)
        view = timing_view(read_study(studies, study), timing)
    if json:
        print_json(view.to_dict())
    else:
        _print(out(), view)


def _print(console: Console, view: TimingView) -> None:
    from rich.table import Table
    from rich.text import Text

    title = Text(view.study, style="bold").append(f" on {view.hardware}, batch {view.batch}", style="none")
    console.print(title, soft_wrap=True)
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    columns = ["candidate", "accuracy", "smaller", "latency", "faster", "5th to 95th percentile"]
    columns += ["predicted"] if view.unpredicted is None else []
    for column in columns:
        named = column == "candidate"  # which alone may wrap
        table.add_column(column, justify="left" if named else "right", no_wrap=not named)
    for row in view.rows:
        cells = [
            f"{row.candidate} {row.name or ''}".rstrip(),
            UNKNOWN if row.accuracy is None else f"{row.accuracy:.2f} %",
            UNKNOWN if row.size_ratio is None else f"{row.size_ratio:.1f}x",
            milliseconds(row.latency_ms),
            f"{row.speedup:.2f}x",
            f"{row.speedup_low:.2f}x to {row.speedup_high:.2f}x",
        ]
        if view.unpredicted is None:
            cells.append(UNKNOWN if row.predicted_speedup is None else f"{row.predicted_speedup:.2f}x")
        table.add_row(*cells)
    console.print(table)
    if view.unpredicted is not None:
        console.print(f"no predictions: {view.unpredicted}", soft_wrap=True, markup=False)
