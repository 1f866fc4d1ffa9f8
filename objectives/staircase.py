"""What points in a quadrant dominate, kept while points are added; fronts and hypervolumes sweep with it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Staircase:
    """Union of the rectangles between the origin and points (x, y) with x > 0 and y > 0, and its area."""

    def __init__(self) -> None:
        self.area = 0.0
        self._xs: list[float] = []  # rising strictly
        self._ys: list[float] = []  # falling strictly, in step with _xs

    def covers(self, x: float, y: float) -> bool:
        """Whether some point added before is at least as good in both coordinates."""
        right = bisect_left(self._xs, x)
        return right < len(self._ys) and self._ys[right] >= y

    def add(self, x: float, y: float) -> bool:
        """Add a point, dropping those it covers; False, and nothing changes, if one covers it already."""
        if self.covers(x, y):
            return False
        start = end = bisect_right(self._xs, x)
        edge, height = x, self._ys[end] if end < len(self._ys) else 0.0
        while start and self._ys[start - 1] <= y:
            start -= 1
            self.area += (edge - self._xs[start]) * (y - height)
            edge, height = self._xs[start], self._ys[start]
        left = self._xs[start - 1] if start else 0.0
        self.area += (edge - left) * (y - height)
        self._xs[start:end] = [x]
        self._ys[start:end] = [y]
        return True
