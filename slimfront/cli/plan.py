"""`slimfront plan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from slimfront.cli.options import AsJson, StudyFile
from slimfront.cli.output import count, duration, out, plural, print_json, size
from slimfront.cli.progress import watching

if TYPE_CHECKING:
    from rich.console import Console

    from slimfront.planning import PlannedGroup, PlannedTarget, PlanView


def plan(context: typer.Context, file: StudyFile, json: AsJson = False) -> None:
    """Print what a study would do: its layers and channels, the sizes within reach, the time. Stores nothing."""
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
    images = ", ".join(f"{number} for {use}" for use, number in view.images.items() if number)
    groups = f" and {plural(len(view.groups), 'group')} of channels" if view.groups else ""
    console.print(
        f"study {view.study}: {plural(len(view.sites), 'layer')}{groups} to compress; images: {images}", soft_wrap=True
    )
    rows = [(site.name, site.kind, count(site.weights), count(site.macs), " ".join(site.levels)) for site in view.sites]
    _table(console, ("layer", "kind", "weights", "MACs", "levels"), ("weights", "MACs"), rows)
    if view.groups:
        console.print()
        found = [(group.name, " ".join(map(str, group.levels)), _with(group)) for group in view.groups]
        _table(console, ("channels of", "levels", "together with"), (), found)
    for item in view.protected:
        console.print(f"protected: {item.name} ({item.reason})", soft_wrap=True, markup=False)
    for item in view.kept_channels:
        console.print(f"channels of {item.name} stay: {item.reason}", soft_wrap=True, markup=False)
    console.print()
    reached = [
        (item.name, size(item.size_bytes), f"{item.size_ratio:.1f}x", count(item.macs), f"{item.macs_ratio:.1f}x")
        for item in view.sizes
    ]
    _table(console, ("reachable", "size", "smaller", "MACs", "fewer"), ("size", "smaller", "MACs", "fewer"), reached)
    console.print()
    for line in (*_target(view), *_time(view), *view.notes):
        console.print(line, soft_wrap=True, markup=False)


def _table(console: Console, titles: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; columns of `numbers` are flush right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in numbers else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _with(group: PlannedGroup) -> str:
    """The other layers whose channels go together with those of the group's first."""
    return ", ".join(name for name in group.layers if name != group.name)


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
        f"time: about {duration(time.total)} (level library {duration(time.library)} and latency table "
        f"{duration(time.table)} unless they are in the cache, "
        f"{search} {duration(time.quick + time.rescored)}, confirmation {duration(time.confirmed)}, "
        f"timing {duration(time.latency)})"
    ]
