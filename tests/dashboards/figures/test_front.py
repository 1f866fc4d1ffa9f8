"""What the front's figure draws, by its traces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dashboards.figures.front import front_figure, out_of_view, shown_costs
from dashboards.scatter import ScatterView, scatter_view
from dashboards.study import read_study
from storage.records.measurement import Rung
from storage.records.study import FrontRow
from storage.store import StudyStore
from tests.dashboards import large, samples


@pytest.fixture
def store() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    samples.finish(store)
    return store


def view(store: StudyStore) -> ScatterView:
    return scatter_view(read_study(store, samples.NAME))


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def numbers(trace: Any) -> list[int]:
    return [row[0] for row in trace.customdata]


def test_front_baselines_and_others_are_apart(store: StudyStore) -> None:
    found = traces(front_figure(view(store), "size"))
    assert numbers(found["front"]) == [4, 5, 7]
    assert numbers(found["baseline"]) == [1, 2, 3]
    assert list(found["baseline"].text) == ["dense", "ort int8", "rounded w4"]
    assert numbers(found["quick score only"]) == [6]
    assert list(found["front"].x) == [1310, 1000, 800]
    assert list(found["front"].y) == [-1.0, -1.5, -20.0]


def test_bars_are_the_bounds_of_the_drop(store: StudyStore) -> None:
    bars = traces(front_figure(view(store), "size"))["front"].error_y
    assert list(bars.array) == [1.0] * 3  # up: the drop may be smaller
    assert list(bars.arrayminus) == [1.0] * 3


def test_the_line_steps_up_through_what_nothing_cheaper_beats(store: StudyStore) -> None:
    line = traces(front_figure(view(store), "size"))["best at or below this cost"]
    assert list(zip(line.x, line.y, strict=True)) == [
        *((800, -20.0), (1000, -1.5), (1310, -1.0), (2500, -0.5), (8000, 0.0), (8000, 0.0)),
    ]
    assert line.line.shape == "hv"


def test_the_recommended_row_and_the_knee_take_their_points_clicks(store: StudyStore) -> None:
    found = traces(front_figure(view(store), "size"))
    assert numbers(found["recommended"]) == [5]
    # 7 is more than ten points down, so the ends are 5 and 1. Between them 2 gives 0.67 of the accuracy and 0.56 of the
    # size in doublings, and 4 gives 0.33 and 0.87.
    assert numbers(found["knee"]) == [2]
    assert found["recommended"].x[0] == 1000


def test_the_region_that_meets_the_target_ends_at_its_limits(store: StudyStore) -> None:
    (size,) = front_figure(view(store), "size").layout.shapes
    assert (size.x1, size.y0, size.name) == (1000, -2.0, "meets the target")
    (macs,) = front_figure(view(store), "macs").layout.shapes
    assert (macs.y0, macs.name) == (-2.0, "allowed drop")
    assert macs.x1 > 1e15
    found = view(store)
    nothing = replace(found, limits=replace(found.limits, size_bytes=None, max_drop=None))
    assert front_figure(nothing, "size").layout.shapes == ()


def test_the_first_view_is_for_models_that_somebody_takes(store: StudyStore) -> None:
    low, high = front_figure(view(store), "size").layout.yaxis.range
    assert -5 < low < -2
    assert 0 < high < 2
    assert out_of_view(view(store), "size") == 3  # 7, the rounded baseline, and 6 with its quick score
    assert "<b>candidate 7</b>" in traces(front_figure(view(store), "size"))["front"].hovertext[2]


def test_everything_reaches_down_to_the_worst_and_no_farther(store: StudyStore) -> None:
    whole = front_figure(view(store), "size").layout.meta["everything"]
    low, high = whole["yaxis.range"]
    assert -23 < low < -20
    assert 0 < high < 4
    left, right = (10**power for power in whole["xaxis.range"])
    assert 600 < left < 800
    assert 8000 < right < 10000


def test_costs_of_which_nothing_is_known_are_not_offered(store: StudyStore) -> None:
    assert shown_costs(view(store)) == ("size", "latency", "macs")
    quick = samples.new_store()
    samples.analyse(quick)
    samples.search(quick)
    assert shown_costs(view(quick)) == ("size", "macs")
    assert not traces(front_figure(view(quick), "latency"))


def test_quick_rows_are_hollow_and_do_not_mix_with_confirmed_ones_in_the_line(store: StudyStore) -> None:
    front = [FrontRow(0, 4, Rung.CONFIRMED), FrontRow(1, 6, Rung.QUICK)]
    store.record_batch(samples.NAME, [], front)
    found = traces(front_figure(view(store), "size"))
    trace = found["front (quick scores are hollow)"]
    assert dict(zip(numbers(trace), trace.marker.symbol, strict=True)) == {4: "circle", 6: "circle-open"}
    assert 1050 not in found["best at or below this cost"].x


def test_a_front_of_one_row_is_drawn() -> None:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store, evaluated=1)
    store.record_batch(samples.NAME, [], [FrontRow(0, 4, Rung.QUICK)])
    found = traces(front_figure(view(store), "size"))
    assert numbers(found["front (quick scores are hollow)"]) == [4]
    assert "knee" not in found


def test_ticks_are_round_and_close_enough(store: StudyStore) -> None:
    axis = front_figure(view(store), "size").layout.xaxis
    texts = [
        text for value, text in zip(axis.tickvals, axis.ticktext, strict=True) if 10 ** axis.range[0] < value < 1e4
    ]
    assert texts[:3] == ["1 KB", "2 KB", "5 KB"]
    assert "500 " in [text[:4] for text in front_figure(view(store), "macs").layout.xaxis.ticktext]


def test_many_points_stay_small() -> None:
    found = scatter_view(read_study(large.searched(5000, 20), samples.NAME))
    text = front_figure(found, "size").to_json()
    assert text.count('"allocation"') == 1500
    assert len(text) < 150_000


def heads(figure: Any) -> list[tuple[float, float]]:
    """Where arrows end."""
    trace = traces(figure)["trained"]
    points = zip(trace.x, trace.y, trace.marker.size, strict=True)
    return [(x, y) for x, y, size in points if size]


def tails(figure: Any) -> list[tuple[float, float]]:
    """Where arrows begin: after a gap."""
    trace = traces(figure)["trained"]
    before = [None, *trace.x[:-1]]
    return [(x, y) for x, y, last in zip(trace.x, trace.y, before, strict=True) if last is None and x is not None]


def test_arrows_lead_from_what_was_trained_to_its_trained_version_in_every_figure(store: StudyStore) -> None:
    assert "trained" not in traces(front_figure(view(store), "size"))
    samples.train(store)
    size = front_figure(view(store), "size")
    # 7 and 8 are off the front, and drawn for their arrows; 3 and 10 are baselines.
    assert tails(size) == [(800, -20.0), (802, -10.0), (1310, -11.0)]
    assert heads(size) == [(802, -10.0), (801, -2.0), (1310, -5.0)]
    assert numbers(traces(size)["confirmed, not on the front"]) == [7, 8]
    assert len(heads(front_figure(view(store), "macs"))) == 3
    assert "trained" not in traces(front_figure(view(store), "latency"))  # of one end of each nothing is known


def test_arrows_are_bent_away_from_the_bars_of_the_bounds(store: StudyStore) -> None:
    samples.train(store)
    trace = traces(front_figure(view(store), "macs"))["trained"]  # training changes no MACs
    first = list(trace.x)[: list(trace.x).index(None)]
    assert first[0] == first[-1] == 1000
    assert all(x < 1000 for x in first[1:-1])
    assert max(map(abs, trace.marker.standoff)) > 0


def test_an_arrow_between_points_that_lie_on_each_other_is_left_out(store: StudyStore) -> None:
    samples.train(store)
    found = view(store)
    others = tuple(replace(item, drop=2.01) if item.candidate == 8 else item for item in found.others)
    assert len(heads(front_figure(replace(found, others=others), "size"))) == 2


def test_hovering_tells_training_and_certificate(store: StudyStore) -> None:
    samples.train(store)
    samples.certify(store)
    found = traces(front_figure(view(store), "size"))
    assert "<b>candidate 9</b> (trained from 8)" in found["front"].hovertext[-1]
    assert found["front"].hovertext[-1].endswith(f"test split: {samples.SENTENCES[1]}")
    assert "<b>candidate 10</b> uniform at target, trained 10<br>trained from 3" in found["baseline"].hovertext[-1]
    assert [row[:2] for row in found["confirmed, not on the front"].customdata] == [
        [7, "allocation"],
        [8, "trained from 7"],
    ]
    assert "test split" not in found["front"].hovertext[0]
