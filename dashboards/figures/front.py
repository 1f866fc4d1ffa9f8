"""Accuracy against one cost: front, baselines, everything else that was scored, target, knee."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import plotly.graph_objects as go

from dashboards.figures.arrows import arrows
from dashboards.figures.frame import (
    ROOM_DECADES,
    Frame,
    cost_of,
    frame_of,
    place_of,
    places_of,
    round_ticks,
    tick_text,
    whole_frame,
)
from dashboards.figures.hover import cost_text, hover_text, is_confirmed, made_by
from dashboards.figures.labels import labels
from dashboards.figures.theme import LIGHT, Palette, layout, plain
from dashboards.scatter import Marked, Other, ScatterView, log_points
from dashboards.summary import PlanSummary
from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.knee import knee
from objectives.pareto import non_dominated
from storage.records.target import Objective

HEIGHT = 500
NARROW_HEIGHT = 560  # on a narrow screen, where the legend takes a line for each entry
# What no figure shows: where the target's region and the line of the best end.
LEAST_COST, MOST_COST = 1e-6, 1e18
MOST_POINTS = 1000.0
TITLES = MappingProxyType(
    {
        "size": "file size (bytes, logarithmic)",
        "latency": "latency of one call (ms, logarithmic)",
        "macs": "MACs of one sample (logarithmic)",
    }
)
NARROW = MappingProxyType({"mode": "markers"})  # of baselines on a narrow screen, where names would cover the points


def shown_costs(view: ScatterView) -> tuple[Objective, ...]:
    """The costs that anything is known of, in the order in which pages offer them."""
    every: tuple[Objective, ...] = ("size", "latency", "macs")
    points = (*view.front, *view.baselines)
    return tuple(cost for cost in every if any(cost_of(item.costs, cost) is not None for item in points))


def front_figure(view: ScatterView, objective: Objective, palette: Palette = LIGHT) -> go.Figure:
    """The figure of one cost. Up is better, left is better.

    The vertical axis is minus the drop against the dense model on the same images, in points, so that models scored on
    different images have a place on it. `customdata` of a point begins with its candidate's number. The layout's `meta`
    holds what a page changes on a narrow screen, and the ranges that show everything: Plotly's own would count the
    target's region, which has no end.
    """
    front = [item for item in view.front if place_of(item, objective) is not None]
    baselines = [item for item in view.baselines if place_of(item, objective) is not None]
    drawn = list({item.row.candidate: item for item in (*front, *baselines)}.values())
    frame, whole = frame_of(view, drawn, objective), whole_frame(view, drawn, objective)
    meta = {"narrow": {"height": NARROW_HEIGHT}, "everything": {"xaxis.range": whole.x, "yaxis.range": whole.y}}
    figure = go.Figure(layout=layout(palette, HEIGHT, meta=meta))
    figure.add_trace(_others(view.others, objective, palette, confirmed=False))
    figure.add_trace(_others(view.others, objective, palette, confirmed=True))
    line = _staircase(drawn, objective)
    figure.add_trace(_line(line, objective, _most(view, drawn, objective), palette))
    figure.add_trace(arrows(view, objective, frame, palette))
    figure.add_trace(_front([item for item in front if item.name is None], objective, palette))
    figure.add_trace(_baselines(baselines, objective, frame, palette))
    best = [item for item in drawn if item.row.candidate == view.recommended]
    figure.add_trace(_ring(best, objective, "recommended", "star", palette.best, 13))
    figure.add_trace(_ring(_knee(line, objective), objective, "knee", "circle-open", palette.knee, 19))
    figure.data = [trace for trace in figure.data if len(trace.x or ())]
    _add_target(figure, view, objective, palette)
    ticks = round_ticks(frame.x, whole.x)
    figure.update_xaxes(
        type="log",
        title_text=TITLES[objective],
        range=frame.x,
        tickvals=ticks,
        ticktext=[tick_text(value, objective) for value in ticks],
        minallowed=min(frame.x[0], whole.x[0]) - ROOM_DECADES,
        maxallowed=max(frame.x[1], whole.x[1]) + ROOM_DECADES,
    )
    figure.update_yaxes(title_text="accuracy against dense (points)", range=frame.y, tickformat="~g")
    return figure


def out_of_view(view: ScatterView, objective: Objective) -> int:
    """How many models and candidates of the figure lie below what it shows at first."""
    drawn = [item for item in (*view.front, *view.baselines) if place_of(item, objective) is not None]
    bottom = frame_of(view, drawn, objective).y[0]
    marked = {item.row.candidate: 0.0 - (item.row.drop or 0.0) for item in drawn}
    others = [0.0 - item.drop for item in view.others if cost_of(item.costs, objective) is not None]
    return sum(1 for change in (*marked.values(), *others) if change < bottom)


def _staircase(drawn: Sequence[Marked], objective: Objective) -> list[Marked]:
    """Those that no other of the same images beats in accuracy and this cost, the cheapest first.

    Of the confirmed ones, or of all while nothing is confirmed: accuracies of different images do not mix.
    """
    same = [item for item in drawn if is_confirmed(item)] or list(drawn)
    costs, changes = places_of(same, objective)
    if not costs:
        return []
    mask = non_dominated(log_points(costs, [0.0 - change for change in changes]))
    kept = [(cost, item) for cost, item, good in zip(costs, same, mask, strict=True) if good]
    return [item for _, item in sorted(kept, key=lambda pair: pair[0])]


def _knee(line: Sequence[Marked], objective: Objective) -> list[Marked]:
    """The knee of the line, within what somebody may want."""
    useful = [item for item in line if (item.row.drop or 0.0) <= ACCURACY_SPAN_POINTS]
    costs, changes = places_of(useful, objective)
    if not costs:
        return []
    found = knee(log_points(costs, [0.0 - change for change in changes]))
    return [] if found is None else [useful[found]]


def _most(view: ScatterView, drawn: Sequence[Marked], objective: Objective) -> float:
    """The highest cost of all points; 0 if there are none."""
    costs = [*(item.costs for item in drawn), *(item.costs for item in view.others)]
    return max((cost for item in costs if (cost := cost_of(item, objective)) is not None), default=0.0)


def _line(line: Sequence[Marked], objective: Objective, most: float, palette: Palette) -> go.Scatter:
    """The best accuracy at or below each cost: level until the next point, then up."""
    costs, changes = places_of(line, objective)
    if costs:
        costs, changes = [*costs, most], [*changes, changes[-1]]
    return go.Scatter(
        x=costs,
        y=changes,
        name="best at or below this cost",
        mode="lines",
        line={"color": palette.front, "width": 1.5, "shape": "hv"},
        hoverinfo="skip",
        showlegend=False,
    )


def _front(items: Sequence[Marked], objective: Objective, palette: Palette) -> go.Scatter:
    confirmed = all(is_confirmed(item) for item in items)
    trace = _marked(items, objective, "front" if confirmed else "front (quick scores are hollow)")
    trace.marker = {
        "color": palette.front,
        "size": 9,
        "symbol": ["circle" if is_confirmed(item) else "circle-open" for item in items],
    }
    trace.error_y.color = palette.front_bar
    return trace


def _baselines(items: Sequence[Marked], objective: Objective, frame: Frame, palette: Palette) -> go.Scatter:
    trace = _marked(items, objective, "baseline")
    places = list(zip(*places_of(items, objective), strict=True))
    named = labels([plain(item.name or "") for item in items], places, frame)
    trace.marker = {
        "color": palette.baseline,
        "size": 9,
        "symbol": ["diamond" if is_confirmed(item) else "diamond-open" for item in items],
    }
    trace.error_y.color = palette.baseline
    trace.error_y.thickness = 0.8
    trace.mode = "markers+text"
    trace.text = [label.text for label in named]
    trace.textposition = [label.position for label in named]
    trace.textfont = {"color": palette.baseline, "size": 11}
    trace.meta = {"narrow": dict(NARROW)}
    return trace


def _marked(items: Sequence[Marked], objective: Objective, name: str) -> go.Scatter:
    costs, changes = places_of(items, objective)
    drops = [(item.row.drop or 0.0, item.row.drop_upper, item.drop_lower) for item in items]
    return go.Scatter(
        x=costs,
        y=changes,
        name=name,
        mode="markers",
        customdata=[[item.row.candidate] for item in items],
        hovertext=[hover_text(item) for item in items],
        hovertemplate="%{hovertext}<extra></extra>",
        error_y={
            "type": "data",
            # Accuracy goes up where the drop goes down.
            "array": [0.0 if lower is None else round(drop - lower, 3) for drop, _, lower in drops],
            "arrayminus": [0.0 if upper is None else round(upper - drop, 3) for drop, upper, _ in drops],
            "symmetric": False,
            "thickness": 1.2,
            "width": 2,
        },
    )


def _others(items: Sequence[Other], objective: Objective, palette: Palette, *, confirmed: bool) -> go.Scatter:
    shown = [item for item in items if item.confirmed is confirmed and cost_of(item.costs, objective) is not None]
    images = "confirmed, off the front" if confirmed else "quick score"
    return go.Scatter(
        x=[float(f"{cost_of(item.costs, objective):.5g}") for item in shown],
        y=[round(0.0 - item.drop, 3) for item in shown],
        name="confirmed, not on the front" if confirmed else "quick score only",
        mode="markers",
        marker={
            "color": palette.confirmed if confirmed else palette.other,
            "size": 7 if confirmed else 5,
            "symbol": "square-open" if confirmed else "circle",
            "opacity": 0.9 if confirmed else 0.55,
        },
        customdata=[
            [item.candidate, made_by(item.origin, item.parent), *_short(item.summary), cost_text(item, objective)]
            for item in shown
        ],
        hovertemplate=(
            f"<b>candidate %{{customdata[0]}}</b> (%{{customdata[1]}}, {images})<br>%{{y:+.2f}} points<br>"
            "%{customdata[4]}<br>%{customdata[2]} bits a weight, %{customdata[3]} % of the weights<extra></extra>"
        ),
    )


def _short(summary: PlanSummary | None) -> list[float | str]:
    return ["?", "?"] if summary is None else [round(summary.mean_bits, 1), round(100 * summary.weights_left)]


def _ring(
    items: Sequence[Marked], objective: Objective, name: str, symbol: str, colour: str, pixels: int
) -> go.Scatter:
    """A mark over a point. It has the point's own data, since it takes its clicks."""
    costs, changes = places_of(items, objective)
    return go.Scatter(
        x=costs,
        y=changes,
        name=name,
        mode="markers",
        marker={"color": colour, "size": pixels, "symbol": symbol, "line": {"color": colour, "width": 2}},
        customdata=[[item.row.candidate] for item in items],
        hovertext=[f"{hover_text(item)}<br><i>{name}</i>" for item in items],
        hovertemplate="%{hovertext}<extra></extra>",
    )


def _add_target(figure: go.Figure, view: ScatterView, objective: Objective, palette: Palette) -> None:
    """The region that meets this cost's limit and the allowed drop; nothing where the target has neither."""
    limit, allowed = view.limits.of(objective), view.limits.max_drop
    if limit is None and allowed is None:
        return
    figure.add_shape(
        type="rect",
        x0=LEAST_COST,
        x1=MOST_COST if limit is None else limit,
        y0=-MOST_POINTS if allowed is None else 0.0 - allowed,
        y1=MOST_POINTS,
        layer="below",
        fillcolor=palette.target_area,
        line={"color": palette.target, "width": 1.2, "dash": "dash"},
        name="meets the target" if limit is not None else "allowed drop",
        showlegend=True,
    )
