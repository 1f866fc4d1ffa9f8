"""The table of a front whose figures are known, and the line that compares predicted and measured speed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from dashboards.front import front_view
from dashboards.study import read_study
from slimfront.cli.front_table import print_front
from storage.home import Home
from storage.records.measurement import Rung
from storage.records.study import FrontRow
from storage.store import StudyStore
from tests.dashboards import samples


def printed(store: StudyStore, folder: Path) -> list[str]:
    text = io.StringIO()
    data = read_study(store, samples.NAME)
    print_front(Console(file=text, width=100, highlight=False), front_view(data, Home(folder)), data)
    return text.getvalue().splitlines()


@pytest.fixture
def store() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    return store


def test_predicted_and_measured_speed_are_compared_below_the_table(store: StudyStore, tmp_path: Path) -> None:
    results = [samples.confirmed(1, 90.0, 8000, speedup=1.0), samples.confirmed(4, 89.0, 1310, speedup=1.9)]
    results += [samples.confirmed(5, 88.5, 1000, speedup=2.4), samples.timed(1, 2.0, 1.0)]
    results += [samples.timed(4, 1.0, 2.0), samples.timed(5, 0.8, 2.5)]
    front = [FrontRow(place, number, Rung.CONFIRMED) for place, number in enumerate((1, 4, 5))]
    store.record_batch(samples.NAME, results, front)
    lines = printed(store, tmp_path)
    assert "latency: predicted 2.4x, measured 2.5x for candidate 5; median error 4.5 % over 2 rows" in lines
    row = next(line for line in lines if line.startswith("5 "))
    assert "2.50x" in row  # the column is what was measured
    assert "2.40x" not in row


@pytest.mark.parametrize("stage", ["quick", "without a table"])
def test_there_is_no_such_line_before_both_are_known(store: StudyStore, tmp_path: Path, stage: str) -> None:
    if stage == "quick":
        store.record(samples.NAME, samples.confirmed(5, 88.5, 1000, speedup=2.4))
    else:
        samples.finish(store)
    assert not [line for line in printed(store, tmp_path) if line.startswith("latency:")]


def test_where_the_target_is_not_met_a_row_within_all_costs_is_named_though_others_are_nearer(
    store: StudyStore, tmp_path: Path
) -> None:
    results = [samples.confirmed(1, 90.0, 8000), samples.confirmed(3, 86.0, 1010), samples.confirmed(4, 89.0, 1100)]
    results += [samples.confirmed(5, 88.5, 1050), samples.confirmed(7, 70.0, 800)]
    front = [FrontRow(place, number, Rung.CONFIRMED) for place, number in enumerate((1, 4, 5, 7))]
    store.record_batch(samples.NAME, results, front)
    lines = printed(store, tmp_path)
    start = next(index for index, line in enumerate(lines) if line.startswith("target not met"))
    named = [line.split(":")[0].split()[-1] for line in lines[start + 1 :] if line.startswith("  candidate")]
    assert named == ["5", "4", "3", "7"]
    assert "  candidate 7: size 10.0x (wanted 8x), drop 20.0 (allowed 2.0)" in lines
