"""The growth of the hypervolume, a step curve on the whole and one for each sampler."""

from __future__ import annotations

import plotly.graph_objects as go

from dashboards.figures.theme import LIGHT, Palette, layout, plain
from dashboards.hypervolume import Growth, HypervolumeView
from dashboards.units import plural

HEIGHT = 340
DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("square", "diamond", "triangle-up", "cross", "x")


def hypervolume_figure(view: HypervolumeView, palette: Palette = LIGHT) -> go.Figure:
    """One curve for all, one for what each sampler found by itself where there are several, one for the baselines."""
    figure = go.Figure(layout=layout(palette, HEIGHT))
    figure.add_trace(_curve(view.all, "all, with baselines", palette.samplers[0], "solid", "circle"))
    if len(view.samplers) > 1:
        for index, item in enumerate(view.samplers):
            colour = palette.samplers[1 + index % (len(palette.samplers) - 1)]
            name = f"{plain(item.origin)} alone ({plural(item.candidates, 'candidate')})"
            dash, symbol = DASHES[index % len(DASHES)], SYMBOLS[index % len(SYMBOLS)]
            figure.add_trace(_curve(item, name, colour, dash, symbol))
    last = view.all.scored[-1]
    figure.add_trace(
        go.Scatter(
            x=[0, last],
            y=[view.baselines, view.baselines],
            name="baselines alone",
            mode="lines",
            line={"color": palette.muted, "width": 1.5, "dash": "dot"},
            hovertemplate="baselines alone: %{y:.3f}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="candidates scored", rangemode="tozero")
    figure.update_yaxes(title_text="hypervolume (accuracy, size)")
    return figure


def _curve(growth: Growth, name: str, colour: str, dash: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=list(growth.scored),
        y=[round(value, 5) for value in growth.values],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
        marker={"color": colour, "size": 5, "symbol": symbol},
        hovertemplate=f"{name}<br>after candidate %{{x}}: %{{y:.3f}}<extra></extra>",
    )
