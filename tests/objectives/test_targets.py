"""Judging by targets: what meets, what is nearest, what is best, and how it is said."""

from __future__ import annotations

from dataclasses import replace
from math import inf, isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objectives.targets import Figures, explain, meets, rank_key, shortfall
from storage.records.dense import DenseFacts
from storage.records.target import Target

DENSE = DenseFacts(accuracy=90.0, size_bytes=1_000_000, latency_ms=2.0, macs=40_000_000)
GOOD = Figures(accuracy=89.5, drop=0.5, size_bytes=125_000, latency_ms=1.0, macs=20_000_000)

POSITIVE = st.floats(min_value=0.01, max_value=1e6)
DENSES = st.builds(
    DenseFacts,
    accuracy=st.floats(min_value=0, max_value=100),
    size_bytes=st.integers(min_value=1, max_value=10**9),
    latency_ms=st.none() | POSITIVE,
    macs=st.integers(min_value=1, max_value=10**12),
)
FIGURES = st.builds(
    Figures,
    accuracy=st.floats(min_value=0, max_value=100),
    drop=st.floats(min_value=-100, max_value=100),
    size_bytes=st.integers(min_value=1, max_value=10**9),
    latency_ms=st.none() | POSITIVE,
    macs=st.integers(min_value=0, max_value=10**12),
)
AMOUNTS = st.integers(min_value=1, max_value=99)
TARGETS = st.builds(
    Target.parse,
    size=st.none() | AMOUNTS.map("{}x".format) | AMOUNTS.map("{}%".format) | AMOUNTS.map("{}KB".format),
    latency=st.none() | AMOUNTS.map("{}x".format) | AMOUNTS.map("{}ms".format),
    macs=st.none() | AMOUNTS.map("{}%".format) | AMOUNTS.map("{}M".format) | AMOUNTS.map(str),
    max_drop=st.none() | st.floats(min_value=0, max_value=100),
)


@pytest.mark.parametrize(
    ("wish", "change", "met"),
    [
        ({"size": "8x"}, {}, True),  # exactly on the limit
        ({"size": "8x"}, {"size_bytes": 125_001}, False),
        ({"size": "12.5%"}, {}, True),
        ({"size": "125KB"}, {}, True),
        ({"size": "124.9KB"}, {}, False),
        ({"latency": "2x"}, {}, True),
        ({"latency": "2x"}, {"latency_ms": 1.01}, False),
        ({"latency": "900us"}, {}, False),
        ({"macs": "50%"}, {}, True),
        ({"macs": "20M"}, {"macs": 20_000_001}, False),
        ({"max_drop": 0.5}, {}, True),
        ({"max_drop": 0.5}, {"drop": 0.51}, False),
        ({"max_drop": 0.3}, {"drop": 0.1 + 0.2}, True),  # float noise is no drop
        ({"max_drop": 0.0}, {"drop": -0.4}, True),
        ({"size": "8x", "max_drop": 0.4}, {}, False),  # every part must hold
        ({"size": "9x", "max_drop": 1.0}, {}, False),
    ],
)
def test_meets(wish: dict[str, Any], change: dict[str, Any], met: bool) -> None:
    target, figures = Target.parse(**wish), replace(GOOD, **change)
    assert meets(target, figures, DENSE) is met
    assert (shortfall(target, figures, DENSE) == 0.0) is met


def test_float_noise_does_not_miss_a_limit() -> None:
    dense, figures = replace(DENSE, latency_ms=0.3), replace(GOOD, latency_ms=0.1)
    assert 0.1 > 0.3 / 3  # the limit, as computed
    assert meets(Target.parse(latency="3x"), figures, dense)


@pytest.mark.parametrize(
    ("latency", "speedup", "ratio_met", "absolute_met"),
    [
        (1.01, 2.0, True, False),  # by its milliseconds 1.98x
        (1.0, 1.99, False, True),  # by its milliseconds 2x
        (1.0, None, True, True),
    ],
)
def test_a_ratio_of_latencies_is_the_speed_up_that_was_measured(
    latency: float, speedup: float | None, ratio_met: bool, absolute_met: bool
) -> None:
    figures = replace(GOOD, latency_ms=latency, speedup=speedup)
    for wish in ("2x", "50%"):
        assert meets(Target.parse(latency=wish), figures, DENSE) == ratio_met
    assert meets(Target.parse(latency="1ms"), figures, DENSE) == absolute_met


def test_the_speed_up_that_is_judged_is_the_one_that_is_said() -> None:
    figures, nothing_dense = replace(GOOD, speedup=1.6), replace(DENSE, latency_ms=None)
    assert shortfall(Target.parse(latency="2x"), figures, DENSE) == pytest.approx(0.25)
    assert explain(Target.parse(latency="2x"), figures, DENSE) == "latency 1.6x (wanted 2x)"
    assert explain(Target.parse(latency="50%"), figures, DENSE) == "latency 62.5% (wanted 50%)"
    assert explain(Target.parse(latency="900us"), figures, DENSE) == "latency 1000.0us (wanted 900us)"
    assert meets(Target.parse(latency="1.6x"), figures, nothing_dense)


def test_unknown_latency_is_not_met() -> None:
    unmeasured = replace(GOOD, latency_ms=None)
    nothing_dense = replace(DENSE, latency_ms=None)
    for wish in ("2x", "50%", "3ms"):
        assert not meets(Target.parse(latency=wish), unmeasured, DENSE)
    assert not meets(Target.parse(latency="2x"), GOOD, nothing_dense)
    assert meets(Target.parse(latency="3ms"), GOOD, nothing_dense)  # an absolute wish needs no reference
    assert meets(Target.parse(size="8x"), unmeasured, nothing_dense)


@pytest.mark.parametrize(
    ("wish", "change", "expected"),
    [
        ({"size": "16x"}, {}, 1.0),  # twice the bytes
        ({"size": "16x", "macs": "25%"}, {}, 2.0),
        ({"max_drop": 2.0}, {"drop": 6.0}, 2.0),
        ({"max_drop": 0.1}, {"drop": 0.6}, 0.5),  # half a point, not five times the limit
        ({"max_drop": 0.0}, {"drop": 3.0}, 3.0),
        ({"latency": "2x"}, {"latency_ms": None}, 1.0),
        ({"size": "8x", "max_drop": 1.0}, {}, 0.0),
    ],
)
def test_shortfall(wish: dict[str, Any], change: dict[str, Any], expected: float) -> None:
    assert shortfall(Target.parse(**wish), replace(GOOD, **change), DENSE) == pytest.approx(expected)


def test_macs_of_a_model_without_any() -> None:
    assert shortfall(Target.parse(macs="50%"), GOOD, replace(DENSE, macs=0)) == inf


@settings(deadline=None, max_examples=200)
@given(TARGETS, FIGURES, DENSES)
def test_properties(target: Target, figures: Figures, dense: DenseFacts) -> None:
    distance = shortfall(target, figures, dense)
    assert distance >= 0
    assert isfinite(distance)
    assert meets(target, figures, dense) == (distance == 0.0)
    worse = replace(
        figures,
        drop=figures.drop + 1,
        size_bytes=figures.size_bytes * 2,
        macs=figures.macs * 2,
        latency_ms=None,
    )
    if figures.latency_ms is None or target.cost("latency") is None:
        assert shortfall(target, worse, dense) >= distance
    line = explain(target, figures, dense)
    assert "\n" not in line
    for name in target.to_dict():
        assert name.removeprefix("max_") in line


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=50), FIGURES, st.integers(min_value=2, max_value=9))
def test_shortfall_has_no_unit(ratio: int, figures: Figures, factor: int) -> None:
    target = Target.parse(size=f"{ratio}x")
    larger = replace(figures, size_bytes=figures.size_bytes * factor)
    scaled = replace(DENSE, size_bytes=DENSE.size_bytes * factor)
    assert shortfall(target, larger, scaled) == pytest.approx(shortfall(target, figures, DENSE))


def best(target: Target, *rows: Figures) -> int:
    return min(range(len(rows)), key=lambda index: rank_key(target, rows[index], DENSE))


def test_drop_alone_picks_the_smallest_that_meets() -> None:
    target = Target.parse(max_drop=1.0)
    rows = (
        replace(GOOD, accuracy=89.9, drop=0.1, size_bytes=200_000),
        replace(GOOD, accuracy=89.1, drop=0.9, size_bytes=90_000),
        replace(GOOD, accuracy=88.0, drop=2.0, size_bytes=10_000),
    )
    assert best(target, *rows) == 1
    assert best(target, rows[1], replace(rows[1], accuracy=89.2)) == 1  # then the more accurate


@pytest.mark.parametrize("wish", [{"size": "8x"}, {"size": "8x", "max_drop": 1.0}])
def test_costs_pick_the_most_accurate_that_meets(wish: dict[str, Any]) -> None:
    rows = (
        replace(GOOD, accuracy=89.9, drop=0.1, size_bytes=200_000),
        replace(GOOD, accuracy=89.1, drop=0.9, size_bytes=90_000),
        replace(GOOD, accuracy=89.3, drop=0.7, size_bytes=125_000),
    )
    target = Target.parse(**wish)
    assert best(target, *rows) == 2
    assert best(target, rows[2], replace(rows[2], size_bytes=100_000)) == 1  # then the smaller
    assert best(target, rows[2], replace(rows[2], macs=1)) == 1  # then the one of fewer MACs


def test_nearest_comes_first_when_none_meets() -> None:
    target = Target.parse(size="10x", max_drop=0.2)
    rows = (
        replace(GOOD, drop=0.1, size_bytes=400_000),
        replace(GOOD, drop=0.9, size_bytes=100_000),
        replace(GOOD, drop=0.3, size_bytes=105_000),
    )
    assert best(target, *rows) == 2
    key = rank_key(target, rows[2], DENSE)
    assert key > rank_key(target, replace(GOOD, drop=0.2, size_bytes=99_999, accuracy=1.0), DENSE)


def test_latency_does_not_rank_among_those_that_meet() -> None:
    target = Target.parse(size="8x")
    assert rank_key(target, GOOD, DENSE) == rank_key(target, replace(GOOD, latency_ms=0.1), DENSE)


@pytest.mark.parametrize(
    ("wish", "change", "line"),
    [
        (
            {"size": "8x", "max_drop": 1.0},
            {"size_bytes": 131_579, "drop": 0.4},
            "size 7.6x (wanted 8x), drop 0.4 (allowed 1.0)",
        ),
        ({"size": "8x"}, {"size_bytes": 125_100}, "size 7.99x (wanted 8x)"),  # never rounded into the target
        ({"size": "25%"}, {}, "size 12.5% (wanted 25%)"),
        ({"size": "25%"}, {"size_bytes": 250_100}, "size 25.01% (wanted 25%)"),
        ({"size": "100KB"}, {}, "size 125.0KB (wanted 100KB)"),
        ({"size": "0.1MB"}, {}, "size 0.12MB (wanted 0.1MB)"),
        ({"size": "900B"}, {}, "size 125000B (wanted 900B)"),
        ({"latency": "3ms"}, {}, "latency 1.0ms (wanted 3ms)"),
        ({"latency": "500us"}, {}, "latency 1000.0us (wanted 500us)"),
        ({"latency": "3x"}, {}, "latency 2.0x (wanted 3x)"),
        ({"latency": "3x"}, {"latency_ms": None}, "latency unknown (wanted 3x)"),
        ({"macs": "40M"}, {}, "macs 20.0M (wanted 40M)"),
        ({"macs": "15000000"}, {}, "macs 20000000 (wanted 15000000)"),
        ({"max_drop": 0.25}, {"drop": 0.26}, "drop 0.3 (allowed 0.25)"),
        ({"max_drop": 0.5}, {"drop": 0.5004}, "drop 0.5004 (allowed 0.5)"),
        ({"max_drop": 0.5}, {"drop": -0.04}, "drop 0.0 (allowed 0.5)"),
        (
            {"size": "8x", "latency": "2x", "macs": "2x"},
            {},
            "size 8.0x (wanted 8x), latency 2.0x (wanted 2x), macs 2.0x (wanted 2x)",
        ),
        ({}, {}, "no target"),
    ],
)
def test_explain(wish: dict[str, Any], change: dict[str, Any], line: str) -> None:
    assert explain(Target.parse(**wish), replace(GOOD, **change), DENSE) == line
