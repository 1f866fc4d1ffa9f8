"""Which whole models a latency table learns from, and what is told of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from learners.latency.anchor import int8_levels
from learners.library.library import Library
from objectives.latency import BURST, NANOSECONDS_PER_MILLISECOND, SHORTEST_KEPT, WARM_UP, Latency, Model, Reference
from objectives.runtimes.base import Session
from searcher.latency_plans import KINDS, load_plan, random_plans
from searcher.stages import latency_table, whole_models
from searcher.stages.whole_models import DENSE, INT8, PLANS, PROBE, SEED, UNCHANGED, WholeModels
from storage.errors import GiveUpError
from storage.records.config import RuntimeConfig
from tests.built import Built

QUIET_MS = 3.0
PROBE_MS = 0.05
DISTURBED = 0.1  # the error of a speed-up
SPEEDUPS = {DENSE: 1.0, PROBE: 40.0, UNCHANGED: 0.8, INT8: 2.0}  # of random plans 4


def timed(disturbed: Sequence[str] = ()) -> Callable[..., dict[str, Latency]]:
    """Every model is as fast as SPEEDUPS say, which is well known unless it is named."""

    def measure(reference: Reference, models: Mapping[str, Model], *_: Any, **__: Any) -> dict[str, Latency]:
        for milliseconds in [QUIET_MS] * SHORTEST_KEPT:
            reference.saw(milliseconds * NANOSECONDS_PER_MILLISECOND)
        speeds = {name: SPEEDUPS.get(name, 4.0) for name in models}
        errors = {name: DISTURBED if name in disturbed else 0.01 for name in models}
        return {
            name: Latency(1.1 * QUIET_MS, speed, speed, speed, 3, name not in disturbed, errors[name])
            for name, speed in speeds.items()
        }

    return measure


@pytest.fixture
def library(built: Callable[[str], Built]) -> Library:
    return built("vgg").library


def test_times_are_on_the_probes_scale(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_models, "measure", timed())
    models = WholeModels(library, RuntimeConfig())
    found = models.times(lambda _: None, PROBE_MS)
    dense = PROBE_MS * SPEEDUPS[PROBE]
    assert (found.dense, found.unchanged, found.on_scale) == (dense, dense / 0.8, True)
    expected = [plan.levels for plan in random_plans(library.space, PLANS, SEED)]
    assert [plan.levels for plan in found.plans] == [int8_levels(library.space), *expected]
    assert [plan.milliseconds for plan in found.plans] == [dense / 2, *[dense / 4] * PLANS * len(KINDS)]
    # The shortest bursts, not a turn that is at most so much longer.
    assert models.quiet_ms == QUIET_MS


@pytest.mark.parametrize(
    ("disturbed", "plans", "on_scale", "quiet_ms"),
    [
        (["0", "5"], 1 + PLANS * len(KINDS) - 2, True, QUIET_MS),
        ([PROBE], 1 + PLANS * len(KINDS), False, QUIET_MS),
        ([UNCHANGED], 1 + PLANS * len(KINDS), False, QUIET_MS),
        ([DENSE], 1 + PLANS * len(KINDS), True, None),
    ],
)
def test_what_was_disturbed_says_so(
    disturbed: list[str],
    plans: int,
    on_scale: bool,
    quiet_ms: float | None,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whole_models, "measure", timed(disturbed))
    models = WholeModels(library, RuntimeConfig())
    found = models.times(lambda _: None, PROBE_MS)
    quiet = sum(plan.error < DISTURBED for plan in found.plans)
    assert (quiet, found.on_scale, models.quiet_ms) == (plans, on_scale, quiet_ms)
    assert len(found.plans) == 1 + PLANS * len(KINDS)
    monkeypatch.setattr(whole_models, "measure", timed([*disturbed, DENSE]))
    models.times(lambda _: None, PROBE_MS)
    assert models.quiet_ms == quiet_ms  # what is known stays


@pytest.mark.parametrize("each", [3, 0])
def test_of_slow_models_fewer_random_plans_are_timed(
    each: int, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as a round of them fits into the time."""
    calls = (WARM_UP + 2 * BURST) * len(KINDS)

    now = count()

    def clock() -> float:
        return next(now) * whole_models.SECONDS / calls / (each + 0.5)  # what each call takes

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(whole_models, "measure", timed())
    found = WholeModels(library, RuntimeConfig()).times(lambda _: None, PROBE_MS)
    expected = [plan.levels for plan in random_plans(library.space, each, SEED)]
    assert [plan.levels for plan in found.plans] == [int8_levels(library.space), *expected]


@pytest.mark.parametrize("when", ["loaded", "called"])
def test_a_plan_that_the_runtime_refuses_tells_nothing(
    when: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = random_plans(library.space, PLANS, SEED)[3].levels

    def refuse(_: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise GiveUpError("the runtime refuses it")

    def loaded(library: Library, config: RuntimeConfig, levels: Sequence[int]) -> Session:
        if levels != refused:
            return load_plan(library, config, levels)
        if when == "loaded":
            raise GiveUpError("the runtime refuses it")
        return refuse

    monkeypatch.setattr(whole_models, "measure", timed())
    monkeypatch.setattr(whole_models, "load_plan", loaded)
    found = WholeModels(library, RuntimeConfig()).times(lambda _: None, PROBE_MS)
    assert len(found.plans) == PLANS * len(KINDS)
    assert refused not in [plan.levels for plan in found.plans]


def test_no_check_draws_the_same_plans(library: Library) -> None:
    seeds = {SEED, latency_table.CHECK_SEED, latency_table.SECOND_CHECK_SEED}
    assert len({random_plans(library.space, PLANS, seed) for seed in seeds}) == 3
