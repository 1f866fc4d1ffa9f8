"""`slimfront plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from slimfront.cli.options import AsJson, StudyFile
from slimfront.cli.output import count, duration, out, plural, print_json, size
from slimfront.cli.progress import watching

if TYPE_CHECKING:
    from rich.console import Console

    from slimfront.planning import PlannedTarget, PlanView


def plan(context: typer.Context, file: StudyFile, json: AsJson = False) -> None:
    """Print what a study would do: its layers, the sizes within reach, the time it takes. Stores nothing."""
    from searcher.stages.prepare import prepare
    from slimfront.planning import plan_view
    from slimfront.submit import check_images, read_config

    config = read_config(file)
    with watching(context.obj) as progress:
        prepared = prepare(config, progress)
        check_images(prepared, progress)
        view = plan_view(prepared)
    if json:
        print_json(view.to_dict())
    else:
        _print(out(), view)


def _print(console: Console, view: PlanView) -> None:
    from rich.table import Table

    images = ", ".join(f"{number} for {use}" for use, number in view.images.items())
    console.print(
        f"study {view.study}: {plural(len(view.sites), 'layer')} to compress; images: {images}", soft_wrap=True
    )
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for title in ("layer", "kind", "weights", "MACs", "levels"):
        table.add_column(title, justify="right" if title in ("weights", "MACs") else "left")
    for site in view.sites:
        table.add_row(site.name, site.kind, count(site.weights), count(site.macs), " ".join(site.levels))
    console.print(table, markup=False)
    for item in view.protected:
        console.print(f"protected: {item.name} ({item.reason})", soft_wrap=True, markup=False)
    console.print()
    sizes = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for title in ("reachable", "size", "smaller"):
        sizes.add_column(title, justify="left" if title == "reachable" else "right")
    for reachable in view.sizes:
        sizes.add_row(reachable.name, size(reachable.size_bytes), f"{reachable.size_ratio:.1f}x")
    console.print(sizes)
    console.print()
    for line in (*_target(view), *_time(view), *view.notes):
        console.print(line, soft_wrap=True, markup=False)


def _target(view: PlanView) -> list[str]:
    wish = ", ".join(f"{key} {value}" for key, value in view.target.items())
    return [f"target: {wish}", *(f"  {_limit(cost)}" for cost in view.costs)]


def _limit(cost: PlannedTarget) -> str:
    if cost.limit is None:
        return f"latency {cost.text}: the dense model is timed at the end of the study, and tells the limit"
    if cost.objective == "latency":
        return f"latency at most {cost.limit:g} ms"
    show = size if cost.objective == "size" else count
    return f"{cost.objective} at most {show(cost.limit)}" + (
        f" of {show(cost.dense)}" if cost.dense is not None else ""
    )


def _time(view: PlanView) -> list[str]:
    time = view.seconds
    search = f"{view.candidates} candidates" if view.candidates is not None else "the search"
    return [
        f"time: about {duration(time.total)} (level library {duration(time.library)} unless it is in the cache, "
        f"{search} {duration(time.quick)}, confirmation {duration(time.confirmed)}, timing {duration(time.latency)})"
    ]
