"""The staircase against a grid of unit squares."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.staircase import Staircase

POINTS = st.lists(st.tuples(st.integers(min_value=1, max_value=6), st.integers(min_value=1, max_value=6)), max_size=12)


@settings(deadline=None, max_examples=200)
@given(POINTS)
def test_area_and_cover_are_those_of_the_squares(points: list[tuple[int, int]]) -> None:
    staircase = Staircase()
    squares: set[tuple[int, int]] = set()
    for x, y in points:
        new = {(column, row) for column in range(x) for row in range(y)}
        covered = any((x - 1, y - 1) == square for square in squares)
        assert staircase.covers(x, y) == covered
        assert staircase.add(x, y) == (not covered)
        squares |= new
        assert staircase.area == len(squares)
        assert staircase.covers(x, y)
