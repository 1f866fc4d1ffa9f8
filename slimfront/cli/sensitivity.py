"""`slimfront sensitivity`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimfront.cli.options import AsJson, StoreUrl, StudyName
from slimfront.cli.output import count, milliseconds, out, print_json, size
from slimfront.cli.session import opened

if TYPE_CHECKING:
    from rich.console import Console

    from dashboards.limits import ErrorShare, Relief, TargetLimit
    from dashboards.sensitivity import SensitivityView

CHANNEL = "channel"  # the learner whose levels are channels; those of the others are bits
NUMBERS = ("error", "saves", "MACs")


def sensitivity(study: StudyName, store: StoreUrl = None, json: AsJson = False) -> None:
    """Print what each level of each site costs and saves, and which site limits each target."""
    with opened(store) as (_, studies):
        from dashboards.sensitivity import sensitivity_view
        from dashboards.study import read_study

        view = sensitivity_view(read_study(studies, study))
    if json:
        print_json(view.to_dict())
    else:
        _print(out(), view)


def _print(console: Console, view: SensitivityView) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    for title in ("site", "level", *NUMBERS):
        table.add_column(title, justify="right" if title in NUMBERS else "left", no_wrap=title != "site")
    for site in view.sites:
        name = _named(site.site, site.learner)
        for level in site.levels[1:]:
            cells = (name, level.level, f"{level.error:.2g}", size(level.saved_bytes), count(level.saved_macs))
            table.add_row(*map(Text, cells))
            name = ""
    console.print(table)
    for target in view.targets:
        console.print()
        for line in _limit(target):
            console.print(line, soft_wrap=True, markup=False)


def _named(site: str, learner: str) -> str:
    return f"{'channels' if learner == CHANNEL else 'bits'} of {site}"


def _limit(target: TargetLimit) -> list[str]:
    plan = "the greedy plan" if target.candidate is None else f"candidate {target.candidate}"
    lines = [f"{target.objective} {target.text}: {plan} has an error of {target.error:.2g}"]
    lines += [] if target.largest is None else [f"  {_share(target.largest)}"]
    lines += [] if target.limiting is None else [f"  {_relief(target.limiting, target.cost_of)}"]
    return lines


def _share(found: ErrorShare) -> str:
    return f"{100 * found.share:.0f} % of it by the {_named(found.site, found.learner)}, at {found.level}"


def _relief(found: Relief, cost_of: str) -> str:
    cost = {"latency": milliseconds, "macs": count}.get(cost_of, size)(found.cost)
    shown = f"{cost} MACs" if cost_of == "macs" else cost
    step = f"{found.level} to {found.bigger} would take off {found.error:.2g} for {shown}"
    return f"limited by the {_named(found.site, found.learner)}: {step}"
