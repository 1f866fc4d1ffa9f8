"""The colours and the manner that all figures share."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
FONT_PIXELS = 13


@dataclass(frozen=True)
class Palette:
    """A colour for every role, no two alike, so that a page can turn one palette into another by its colours alone.

    From Okabe and Ito (2008), whose hues stay apart for colour-blind people; lighter on a dark ground.
    """

    text: str
    muted: str  # of axis titles and lines in the background
    grid: str
    ground: str  # of hover labels and of the page
    front: str
    front_bar: str  # of error bars
    baseline: str
    other: str
    confirmed: str  # of candidates that were confirmed and are not on the front
    knee: str
    best: str  # of the recommended model
    target: str  # the outline of the region that meets the target
    target_area: str
    samplers: tuple[str, ...]  # of curves, in turn

    def colours(self) -> list[str]:
        """All of them in one order."""
        found: list[str] = []
        for value in asdict(self).values():
            found.extend([value] if isinstance(value, str) else value)
        return found


LIGHT = Palette(
    text="#1b1f24",
    muted="#59636e",
    grid="#e3e6ea",
    ground="#fefefe",
    front="#0072b2",
    front_bar="#7fb5d8",
    baseline="#c04f00",
    other="#9aa4af",
    confirmed="#6b7682",
    knee="#a8447f",
    best="#8a6100",
    target="#00775a",
    target_area="#e4f4ee",
    samplers=("#0071b1", "#c14f01", "#00785b", "#a9457f", "#8b6201", "#3f4852"),
)
DARK = Palette(
    text="#e8eaed",
    muted="#a3adb8",
    grid="#2e343b",
    ground="#15181c",
    front="#56b4e9",
    front_bar="#2f6d92",
    baseline="#f0803c",
    other="#66707b",
    confirmed="#98a3ae",
    knee="#e08cbc",
    best="#f0c75e",
    target="#2bc296",
    target_area="#16302a",
    samplers=("#57b5ea", "#f1813d", "#2cc397", "#e18dbd", "#f1c85f", "#c3cad2"),
)


def exchange(before: Palette = LIGHT, after: Palette = DARK) -> dict[str, str]:
    """What to put in place of each colour of `before` for a figure in the colours of `after`."""
    return dict(zip(before.colours(), after.colours(), strict=True))


def plain(text: str) -> str:
    """`text` as a figure shows it letter by letter: Plotly reads some HTML in labels, and these are users' names."""
    return escape(text, quote=False)


def layout(palette: Palette, height: int, **changes: Any) -> go.Layout:
    """The layout of a figure of `height` pixels on a ground of the page's own colour."""
    axis = {
        "gridcolor": palette.grid,
        "linecolor": palette.grid,
        "zeroline": False,
        "title": {"font": {"color": palette.muted}},
        "tickfont": {"color": palette.muted},
        "automargin": True,
    }
    given = {
        "height": height,
        "autosize": True,
        "template": go.layout.Template(layout={"xaxis": axis, "yaxis": axis}),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": FONT_PIXELS, "color": palette.text},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        "hoverlabel": {
            "align": "left",
            "bgcolor": palette.ground,
            "bordercolor": palette.muted,
            "font": {"family": FONT, "size": FONT_PIXELS, "color": palette.text},
        },
    }
    return go.Layout({**given, **changes})
