"""The table of a front whose figures are known, and the line that compares predicted and measured speed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from dashboards.front import front_view
from dashboards.study import read_study
from searcher.baselines import AT_TARGET
from slimfront.cli.front_table import WIDE, print_front
from storage.home import Home
from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Rung
from storage.records.study import FrontRow
from storage.store import StudyStore
from tests.dashboards import samples


def printed(store: StudyStore, folder: Path, width: int = 100) -> list[str]:
    text = io.StringIO()
    data = read_study(store, samples.NAME)
    print_front(Console(file=text, width=width, highlight=False), front_view(data, Home(folder)), data)
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


@pytest.mark.parametrize("width", [80, 100, 120])
def test_only_names_wrap_where_room_is_short(tmp_path: Path, width: int) -> None:
    store = samples.new_store()
    samples.analyse(store)
    at_target = Proposal(Candidate((2, 2), samples.LIBRARY), "baseline", AT_TARGET)
    store.add_trials(samples.NAME, 1, (*samples.BASELINES, at_target))
    results = [samples.confirmed(number, accuracy, 123_400) for number, accuracy in ((1, 90.0), (2, 89.0), (4, 12.78))]
    results += [samples.timed(1, 0.059, 1.0), samples.timed(2, 123.45, 10.02), samples.timed(4, 123.45, 10.02)]
    store.record_batch(samples.NAME, results, [FrontRow(place, n, Rung.CONFIRMED) for place, n in enumerate((1, 2))])
    lines = printed(store, tmp_path, width)
    table = lines[1 : next(index for index, line in enumerate(lines) if line.startswith("target not"))]
    assert not [line for line in table if "\u2026" in line]
    assert max(map(len, table)) <= width
    assert table[0].split()[-1] == "target"
    start = next(index for index, line in enumerate(table) if line.startswith("4 "))
    end = table[start].index("confirmed" if width >= WIDE else "12.78 %")  # the column behind the name
    name = " ".join(line[:end] for line in table[start:]).split()
    shown = " ".join(table[start:])
    for figure in ("12.78 %", "77.22 (78.22)", "123.4 KB", "0.1x", "123.45 ms", "10.02x"):
        assert figure in shown
    assert name[:4] == ["4", "uniform", "at", "target"]
    assert (len(table) - start == 1) == (width == 120)


@pytest.mark.parametrize("width", [80, 100])
def test_trained_rows_and_verdicts_are_marked_where_there_are_any(
    store: StudyStore, tmp_path: Path, width: int
) -> None:
    samples.finish(store)
    plain = printed(store, tmp_path, width)
    assert not [line for line in plain if "from" in line or "test split" in line or "certified" in line]
    samples.train(store)
    lines = printed(store, tmp_path, width)
    (row,) = (line for line in lines if line.startswith("9 (from 8) "))
    assert "88.00 %" in row
    assert len(row) <= width
    assert "(from N): trained from candidate N" in lines
    samples.certify(store)
    lines = printed(store, tmp_path, 200)
    first = lines.index(f"candidate 5 (primary): {samples.SENTENCES[0]}")
    assert lines[first - 1].startswith("target met")
    assert lines[first + 1 : first + 3] == [
        f"candidate 9: {samples.SENTENCES[1]}",
        f"candidate 10 (uniform at target, trained 10): {samples.SENTENCES[2]}",
    ]
    assert lines[first + 3].startswith("400 images")  # one look goes without saying
    samples.certify(store, looks=2)
    assert "the test split had been looked at 2 times by then" in printed(store, tmp_path, 200)
