"""The table: costs add up, and what is on disk is not measured again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from learners.latency import timing
from learners.latency.blocks import glue_difference, layer_difference
from learners.latency.build import build_table
from objectives import latency
from objectives.latency import NANOSECONDS_PER_MILLISECOND, SHORTEST_KEPT, Latency, Reference
from objectives.runtimes.base import Session
from objectives.runtimes.onnxruntime import OnnxRuntime
from storage.records.latency import LatencyTable
from tests.learners.latency.samples import INPUT, glue, layers, space


class Counting(OnnxRuntime):
    """ONNX Runtime that counts the sessions it opens."""

    def __init__(self) -> None:
        self.opened = 0

    def session(self, model: bytes, threads: int) -> Session:
        self.opened += 1
        return super().session(model, threads)


def build(
    folder: Path,
    runtime: Counting | None = None,
    progress: timing.Progress = lambda *_: None,
    again: bool = False,
) -> LatencyTable:
    """The table of the samples."""
    return build_table(layers(), glue(), space(), times(folder, runtime), INPUT, progress, again)


def times(folder: Path, runtime: Counting | None = None, batch: int = 2) -> timing.ProbeTimes:
    return timing.ProbeTimes(timing.Setting(runtime or Counting(), 1, batch), folder)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 1e-4)
    for module in (timing, latency):
        monkeypatch.setattr(module, "LEAST_SECONDS", 0.0)


def set_clock(monkeypatch: pytest.MonkeyPatch, ratio: Callable[[int], float], reference: float = 1.0) -> None:
    """Replaces measurements: the n-th model ever measured takes `ratio(n)` times as long as the reference, which
    takes `reference`; every model is called once."""
    seen = []

    def measure(
        own: Reference, candidates: Mapping[str, Session], sample: npt.NDArray[np.float32], *rest: float
    ) -> dict[str, Latency]:
        own.saw(reference * NANOSECONDS_PER_MILLISECOND)
        found = {}
        for name, model in candidates.items():
            model(sample)
            seen.append(name)
            speedup = 1 / ratio(len(seen))
            found[name] = Latency(reference / speedup, speedup, speedup, speedup, 1, True, 0.01)
        return found

    monkeypatch.setattr(timing, "measure", measure)


def test_the_table_fits_the_space_and_names_the_machine(tmp_path: Path) -> None:
    table = build(tmp_path)
    table.check(space())
    assert table.runtime == "onnxruntime"
    assert "onnxruntime" in table.hardware
    assert [item.name for item in table.factors] == ["first", "second", "head", "mean"]
    assert LatencyTable.from_json(table.to_json()) == table


def test_the_dense_model_is_level_0_everywhere(tmp_path: Path) -> None:
    table = build(tmp_path)
    assert table.milliseconds(space(), (0, 0)) == pytest.approx(table.dense_ms)
    assert table.speedup(space(), (0, 0)) == pytest.approx(1)


def test_layers_take_no_less_than_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model measured later is faster, as by noise: differences of layers are below nothing, and not kept."""
    set_clock(monkeypatch, lambda number: 1.0 / number)
    table = build(tmp_path)
    known = times(tmp_path)
    known.measure([], lambda *_: None)
    pairs = [layer_difference(item, cell) for item in layers() for cell in item.cells]
    raw = [known[pair.whole] - known[pair.without] for pair in pairs]
    assert min(raw) < 0 < max(raw)
    found = [cell for factor in table.factors[: len(layers())] for cell in factor.milliseconds]
    assert found == [max(0.0, cost) for cost in raw]
    # An operation may leave less to what follows than it has found.
    (pool,) = glue()
    pair = glue_difference(pool, pool.cells[0])
    assert table.factors[-1].milliseconds == (known[pair.whole] - known[pair.without],)


def test_what_layers_take_more_may_be_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A further source of a layer counts what fewer channels save: below nothing, and kept."""
    set_clock(monkeypatch, lambda number: float(number))
    item = replace(layers()[0], extra=True)
    known = times(tmp_path)
    table = build_table([item], (), space(), known, INPUT, lambda *_: None)
    pairs = [layer_difference(item, cell) for cell in item.cells]
    costs = [max(0.0, known[pair.whole] - known[pair.without]) for pair in pairs]
    assert table.factors[0].milliseconds == tuple(cost - costs[0] for cost in costs)
    assert len(set(costs)) > 1


def test_no_prediction_is_below_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, lambda number: 1.0 / number)
    table = build(tmp_path)
    assert table.is_floored
    assert table.dense_ms >= table.fixed_ms
    for levels in product(range(3), range(2)):
        assert table.milliseconds(space(), levels) >= table.least_ms >= table.fixed_ms


def test_a_second_table_comes_from_disk(tmp_path: Path) -> None:
    first = build(tmp_path)
    runtime = Counting()
    assert build(tmp_path, runtime) == first
    assert runtime.opened == 0


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"reference_ms": 1}', '{"reference_ms": 1, "milliseconds": {"a": "b"}}']
)
def test_a_damaged_cache_is_measured_anew(tmp_path: Path, damage: str) -> None:
    first = build(tmp_path)
    (path,) = tmp_path.glob("*.json")
    path.write_text(damage)
    runtime = Counting()
    assert len(build(tmp_path, runtime).factors) == len(first.factors)
    assert runtime.opened > 0


def test_batches_and_threads_have_caches_of_their_own(tmp_path: Path) -> None:
    build(tmp_path)
    build_table(layers(), glue(), space(), times(tmp_path, batch=3), INPUT, lambda *_: None)
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_equal_layers_are_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, lambda _: 1.0)
    runtime, twice = Counting(), Counting()
    build(tmp_path / "one", runtime)
    copies = [replace(item, name=f"{item.name} {number}") for item in layers() for number in range(3)]
    build_table(copies, glue(), space(), times(tmp_path / "two", twice), INPUT, lambda *_: None)
    assert runtime.opened == twice.opened


def test_all_sessions_share_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them has seen of quiet moments holds for the next."""
    monkeypatch.setattr(timing, "TOGETHER", 2)
    seen = []

    def measure(reference: Reference, candidates: Mapping[str, Session], *_: object) -> dict[str, Latency]:
        seen.append(reference)
        reference.saw(1.0)
        return dict.fromkeys(candidates, Latency(1.0, 1.0, 1.0, 1.0, 1, True, 0.01))

    monkeypatch.setattr(timing, "measure", measure)
    known = times(tmp_path)
    build_table(layers(), glue(), space(), known, INPUT, lambda *_: None)
    assert len(seen) > 2
    assert all(reference is known.reference for reference in seen)


@pytest.mark.parametrize("superseded", [True, False])
def test_what_a_later_quiet_moment_shows_to_be_disturbed_is_timed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, superseded: bool
) -> None:
    """The first batch is wholly disturbed, which nothing in it tells."""
    monkeypatch.setattr(timing, "TOGETHER", 4)
    sessions: list[set[str]] = []

    def measure(reference: Reference, candidates: Mapping[str, Session], *_: object) -> dict[str, Latency]:
        is_disturbed = superseded and not sessions
        sessions.append(set(candidates))
        for milliseconds in [1.5 if is_disturbed else 1.0] * SHORTEST_KEPT:
            reference.saw(milliseconds * NANOSECONDS_PER_MILLISECOND)
        speedup = 0.5 if is_disturbed else 1.0
        return dict.fromkeys(candidates, Latency(1.0, speedup, speedup, speedup, 3, True, 0.01))

    monkeypatch.setattr(timing, "measure", measure)
    build_table(layers(), glue(), space(), times(tmp_path), INPUT, lambda *_: None)
    assert sum(names == sessions[0] for names in sessions) == 1 + superseded
    assert all(sum(names == other for names in sessions) == 1 for other in sessions[1:] if other != sessions[0])
    (path,) = tmp_path.glob("*.json")
    assert set(json.loads(path.read_text())["milliseconds"].values()) == {1.0}


def test_timing_again_forgets_the_times_before(tmp_path: Path) -> None:
    build(tmp_path)
    (path,) = tmp_path.glob("*.json")
    document = json.loads(path.read_text())
    document["milliseconds"] = dict.fromkeys(document["milliseconds"], 1e9)
    path.write_text(json.dumps(document))
    runtime = Counting()
    build(tmp_path, runtime, again=True)
    known = json.loads(path.read_text())["milliseconds"]
    assert max(known.values()) < 1e6
    assert runtime.opened >= len(known)


def test_other_models_are_timed_on_the_same_scale(tmp_path: Path) -> None:
    known = times(tmp_path)
    with pytest.raises(ValueError, match="nothing has been measured"):
        _ = known.reference_ms
    build_table(layers(), glue(), space(), known, INPUT, lambda *_: None)
    assert known.reference_ms == known[timing.REFERENCE] > 0
    known.reference.model(np.zeros(0, np.float32))


def test_another_day_is_on_the_scale_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_clock(monkeypatch, lambda _: 1.0, reference=3.0)
    build_table(layers()[:1], (), space(), times(tmp_path), INPUT, lambda *_: None)
    set_clock(monkeypatch, lambda _: 1.0, reference=6.0)  # the machine runs at half its clock
    build(tmp_path)
    (path,) = tmp_path.glob("*.json")
    assert set(json.loads(path.read_text())["milliseconds"].values()) == {3.0}


def test_progress_rises_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build(tmp_path, progress=lambda *step: seen.append(step))
    assert {stage for stage, _, _ in seen} == {timing.STAGE}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1] == seen[-1][2] > 0


def test_cells_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    wrong = replace(layers()[1], cells=layers()[1].cells[:-1])
    with pytest.raises(ValueError, match="the cells of second do not fit"):
        build_table([wrong], (), space(), times(tmp_path), INPUT, lambda *_: None)
