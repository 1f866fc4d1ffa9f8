"""Arrows from candidates to what training has made of them."""

from __future__ import annotations

from math import hypot, log10
from typing import TypeAlias

import plotly.graph_objects as go

from dashboards.figures.frame import Frame, cost_of, place_of
from dashboards.figures.labels import PLOT_HEIGHT, PLOT_WIDTH
from dashboards.figures.theme import Palette
from dashboards.scatter import ScatterView
from storage.records.target import Objective

Place: TypeAlias = tuple[float, float]  # cost, change of accuracy in points

NAME = "trained"
HEAD_PIXELS, STANDOFF_PIXELS = 9, 5  # of an arrow's head, and from its tip to the middle of the point
LEAST_PIXELS = 10.0  # between the ends of an arrow in the first view; there is no room for a shorter one
BOW, MOST_BOW_PIXELS = 0.15, 16.0  # how far an arrow's middle is from the straight line, of its length and at most
STEPS = 12  # straight pieces of an arrow


def arrows(view: ScatterView, objective: Objective, frame: Frame, palette: Palette) -> go.Scatter:
    """One trace with an arrow for each candidate that was trained, where the figure has a place for both ends.

    Arrows are bent: training hardly changes a size, so that straight ones would lie on the bars of the bounds. They are
    a trace and no annotations, which would go on beyond the axes, over whatever is there, and which no legend hides.
    """
    paths = [arrow_path(start, end, frame) for start, end in arrow_ends(view, objective, frame)]
    # The head is a marker at the last point; a gap follows.
    sizes, standoffs = ([*[0] * STEPS, pixels, 0] * len(paths) for pixels in (HEAD_PIXELS, STANDOFF_PIXELS))
    return go.Scatter(
        x=[x for path in paths for x in (*(float(f"{cost:.5g}") for cost, _ in path), None)],
        y=[y for path in paths for y in (*(round(change, 3) for _, change in path), None)],
        name=NAME,
        mode="lines+markers",
        line={"color": palette.muted, "width": 1},
        marker={
            "color": palette.muted,
            "symbol": "arrow",
            "angleref": "previous",
            "size": sizes,
            "standoff": standoffs,
            "line": {"width": 0},
        },
        hoverinfo="skip",
    )


def arrow_ends(view: ScatterView, objective: Objective, frame: Frame) -> list[tuple[Place, Place]]:
    """The places of each parent and of its trained version, by its number; without pairs that lie on each other."""
    marked = {item.row.candidate: item for item in (*view.front, *view.baselines)}
    places = {number: place for number, item in marked.items() if (place := place_of(item, objective)) is not None}
    parents = {number: item.row.parent for number, item in marked.items()}
    for item in view.others:
        cost = cost_of(item.costs, objective)
        parents[item.candidate] = item.parent
        if cost is not None:
            places[item.candidate] = cost, round(0.0 - item.drop, 3)
    ends = [
        (places[parent], places[number])
        for number, parent in sorted(parents.items())
        if parent is not None and parent in places and number in places
    ]
    return [pair for pair in ends if hypot(*_pixels(*pair, frame)) >= LEAST_PIXELS]


def arrow_path(start: Place, end: Place, frame: Frame) -> list[Place]:
    """STEPS + 1 places from `start` to `end`, on a curve to the left of the way."""
    right, up = _pixels(start, end, frame)
    length = hypot(right, up)
    # The control point of a quadratic curve is twice as far out as its middle.
    out = 2 * min(BOW * length, MOST_BOW_PIXELS) / length
    wide, tall = _pixel_sizes(frame)
    low, high = log10(start[0]), log10(end[0])
    middle = (low + high) / 2 - up * out * wide, (start[1] + end[1]) / 2 + right * out * tall
    path = []
    for step in range(STEPS + 1):
        part = step / STEPS
        shares = (1 - part) ** 2, 2 * part * (1 - part), part**2
        x = sum(share * value for share, value in zip(shares, (low, middle[0], high), strict=True))
        y = sum(share * value for share, value in zip(shares, (start[1], middle[1], end[1]), strict=True))
        path.append((10.0**x, y))
    return path


def _pixels(start: Place, end: Place, frame: Frame) -> tuple[float, float]:
    """How far `end` is to the right of `start` and above it in the first view."""
    wide, tall = _pixel_sizes(frame)
    return (log10(end[0]) - log10(start[0])) / wide, (end[1] - start[1]) / tall


def _pixel_sizes(frame: Frame) -> tuple[float, float]:
    """Decades of cost and points of accuracy that a pixel stands for in the first view."""
    return (frame.x[1] - frame.x[0]) / PLOT_WIDTH, (frame.y[1] - frame.y[0]) / PLOT_HEIGHT
