"""Where the names of points go, so that none covers another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10

from dashboards.figures.frame import Frame

# Pixels between the axes of a figure beside the plan on a screen 1,200 pixels wide; wider ones have more room.
PLOT_WIDTH, PLOT_HEIGHT = 560.0, 360.0
LETTER_WIDTH, LINE_HEIGHT = 6.2, 13.0  # pixels of the names' font
DISTANCE = 5.0  # pixels between a point and its name
# Plotly's words for a corner, with the direction from the point to the name: right and up are positive.
CORNERS = {"top right": (1, 1), "bottom right": (1, -1), "top left": (-1, 1), "bottom left": (-1, -1)}


@dataclass(frozen=True)
class Label:
    """The name of a point as it is drawn."""

    text: str  # empty where there is no room for it
    position: str  # one of CORNERS


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    bottom: float
    top: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )


def labels(names: Sequence[str], places: Sequence[tuple[float, float]], frame: Frame) -> list[Label]:
    """A label for each of `places` (cost, points of accuracy) within the axes, earlier ones first; what has no room has
    no text."""
    taken: list[_Box] = []
    found = []
    for name, (cost, change) in zip(names, places, strict=True):
        x = PLOT_WIDTH * (log10(cost) - frame.x[0]) / (frame.x[1] - frame.x[0])
        y = PLOT_HEIGHT * (change - frame.y[0]) / (frame.y[1] - frame.y[0])
        boxes = {corner: _box(x, y, len(name), *direction) for corner, direction in CORNERS.items()}
        inside = {corner: box for corner, box in boxes.items() if box.left >= 0 and box.right <= PLOT_WIDTH}
        free = [corner for corner, box in inside.items() if not any(box.meets(other) for other in taken)]
        if free:
            taken.append(boxes[free[0]])
            found.append(Label(name, free[0]))
        else:
            found.append(Label("", next(iter(CORNERS))))
    return found


def _box(x: float, y: float, letters: int, right: int, up: int) -> _Box:
    ends = sorted((x + right * DISTANCE, x + right * (DISTANCE + LETTER_WIDTH * letters)))
    sides = sorted((y + up * DISTANCE, y + up * (DISTANCE + LINE_HEIGHT)))
    return _Box(*ends, *sides)
