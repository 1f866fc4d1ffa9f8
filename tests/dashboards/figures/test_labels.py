"""Names of points: all that have room, none over another."""

from __future__ import annotations

from dashboards.figures.frame import Frame
from dashboards.figures.labels import labels

FRAME = Frame((0.0, 3.0), (-10.0, 0.0))


def test_a_name_alone_is_above_its_point() -> None:
    (label,) = labels(["dense"], [(10.0, -5.0)], FRAME)
    assert (label.text, label.position) == ("dense", "top right")


def test_points_far_apart_keep_their_names_where_they_are() -> None:
    found = labels(["dense", "uniform"], [(10.0, -5.0), (100.0, -5.0)], FRAME)
    assert [label.position for label in found] == ["top right", "top right"]


def test_four_names_find_room_around_one_point_and_a_fifth_has_none() -> None:
    found = labels([f"uniform w{bits}" for bits in (8, 6, 4, 3, 2)], [(30.0, -2.0)] * 5, FRAME)
    assert [label.text for label in found] == ["uniform w8", "uniform w6", "uniform w4", "uniform w3", ""]
    assert len({label.position for label in found[:4]}) == 4


def test_names_at_the_edges_stay_within_the_axes() -> None:
    right, left = labels(["dense", "rounded w4"], [(950.0, -5.0), (1.05, -1.0)], FRAME)
    assert (right.text, right.position) == ("dense", "top left")
    assert (left.text, left.position) == ("rounded w4", "top right")
