"""Heat-maps of the error that each level of each site costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

import plotly.graph_objects as go

from dashboards.figures.theme import LIGHT, Palette, layout, plain
from dashboards.sensitivity import LevelSensitivity, SiteSensitivity
from dashboards.units import count, size
from storage.records.space import CHANNEL

ROW_PIXELS = 18
TOP_PIXELS, BOTTOM_PIXELS = 76, 8  # around the cells: colour bar and names of levels, a margin
LISTED_NAMES = 3  # of a group's other layers
MOST_DECADES = 5  # of errors that have colours of their own
NAME_PIXELS, LETTER_PIXELS = 16, 7  # of a name: beside it, and a letter of it
LONGEST_NAME = 22  # letters, so that names leave room for cells on a phone
WRITTEN_SITES = 60  # up to here each cell shows its number: more text would keep the page busy for a second
# From light to less light, which colour-blind people see, too; a large error is dark. None of them is so dark that the
# numbers in the cells, which Plotly writes in dark grey on light, are hard to read.
COLOURS = ("#ffffe5", "#fee391", "#fdbf5f", "#fd8d3c")


def sensitivity_figure(every: Sequence[SiteSensitivity], learner: str, palette: Palette = LIGHT) -> go.Figure | None:
    """The sites of one learner, in order from the top; None if it has none with a level beside the original.

    Columns are bit-widths by name; of channel groups, whose levels differ, the first, second, ... step down.
    """
    sites = [site for site in every if site.learner == learner and len(site.levels) > 1]
    if not sites:
        return None
    columns = _columns(sites, learner)
    cells = [_row(site, columns, learner) for site in sites]
    errors = [level.error for row in cells for level in row if level is not None and level.error > 0]
    low, high = _decades(errors)
    written = len(sites) <= WRITTEN_SITES
    names = [_short(site.site) for site in sites]
    figure = go.Figure(
        layout=layout(
            palette,
            TOP_PIXELS + ROW_PIXELS * len(sites) + BOTTOM_PIXELS,
            margin={"l": _room(names), "r": 8, "t": TOP_PIXELS, "b": BOTTOM_PIXELS},
        )
    )
    figure.add_trace(
        go.Heatmap(
            x=_titles(columns, learner),
            y=list(range(len(sites))),
            z=[[None if level is None else _logarithm(level.error, low) for level in row] for row in cells],
            zmin=low,
            zmax=high,
            text=[["" if level is None else _label(level, learner) for level in row] for row in cells],
            texttemplate="%{text}" if written else None,
            textfont={"size": 11},
            meta={"narrow": {"texttemplate": ""}} if learner == CHANNEL else None,
            hovertext=[
                ["" if level is None else _hover(site, level) for level in row]
                for site, row in zip(sites, cells, strict=True)
            ],
            hovertemplate="%{hovertext}<extra></extra>",
            hoverongaps=False,
            colorscale=list(COLOURS),
            xgap=1,
            ygap=1,
            colorbar={
                "orientation": "h",
                "thickness": 10,
                "lenmode": "fraction",
                "len": 1,
                "x": 0.5,
                "y": 1,
                "yref": "container",
                "yanchor": "top",
                "ypad": 0,
                "tickvals": list(range(low, high + 1)),
                "ticktext": [f"{10.0**power:g}" for power in range(low, high + 1)],
                "tickangle": 0,
                "tickfont": {"color": palette.muted},
                "outlinewidth": 0,
            },
        )
    )
    figure.update_xaxes(side="top", showgrid=False, type="category", fixedrange=True, tickangle=0)
    figure.update_yaxes(
        tickvals=list(range(len(sites))),
        ticktext=[plain(name) for name in names],
        automargin=False,
        range=[len(sites) - 0.5, -0.5],
        showgrid=False,
        fixedrange=True,
    )
    return figure


def _room(names: Sequence[str]) -> int:
    """Pixels for the longest name. The browser could find out, but takes seconds to do so for hundreds of names."""
    return NAME_PIXELS + LETTER_PIXELS * max(map(len, names))


def _columns(sites: Sequence[SiteSensitivity], learner: str) -> list[str | int]:
    """Names of bit-widths, the widest first, or positions of a group's levels."""
    if learner == CHANNEL:
        return list(range(1, max(len(site.levels) for site in sites)))
    widths = {level.level: level.bits or 0 for site in sites for level in site.levels[1:]}
    names = sorted(widths, key=lambda name: (-widths[name], name))
    return list(names)


def _row(site: SiteSensitivity, columns: Sequence[str | int], learner: str) -> list[LevelSensitivity | None]:
    if learner == CHANNEL:
        return [site.levels[place] if place < len(site.levels) else None for place in range(1, len(columns) + 1)]
    known = {level.level: level for level in site.levels[1:]}
    return [known.get(str(name)) for name in columns]


def _titles(columns: Sequence[str | int], learner: str) -> list[str]:
    if learner == CHANNEL:
        return [f"-{place}" for place in columns]
    return [plain(str(name)) for name in columns]


def _decades(errors: Sequence[float]) -> tuple[int, int]:
    """Powers of ten that hold all errors, at least one apart; what is far below the largest has one colour."""
    if not errors:
        return -1, 0
    high = ceil(log10(max(errors)))
    return max(min(floor(log10(min(errors))), high - 1), high - MOST_DECADES), high


def _logarithm(error: float, low: int) -> float:
    """An error of nothing at all has the colour of the smallest."""
    return round(log10(error), 3) if error > 0 else float(low)


def _label(level: LevelSensitivity, learner: str) -> str:
    number = f"{level.error:.1g}" if level.error < 1 else f"{level.error:.2g}"
    return f"{level.channels}: {number}" if learner == CHANNEL else number


def _hover(site: SiteSensitivity, level: LevelSensitivity) -> str:
    lines = [f"<b>{plain(site.site)}</b>"]
    if level.channels is not None:
        lines.append(f"{level.channels} of {site.levels[0].channels} channels")
        others = [name for name in site.layers if name != site.site]
        if others:
            lines.append(f"with {plain(_listed(others))}")
    else:
        lines.append(f"{plain(level.level)}: {level.bits} bits a weight")
    lines.append(f"relative error {level.error:.2g}")
    lines.append(f"saves {size(level.saved_bytes)}, {count(level.saved_macs)} MACs")
    return "<br>".join(lines)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED_NAMES
    shown = ", ".join(_short(name) for name in names[:LISTED_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def _short(name: str) -> str:
    """The end of a long name, which tells layers apart better than its beginning."""
    return name if len(name) <= LONGEST_NAME else f"…{name[1 - LONGEST_NAME :]}"
