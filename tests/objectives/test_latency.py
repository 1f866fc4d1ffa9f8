"""Latency: exact on a clock that the models themselves advance, and real on real models."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from objectives.latency import FEWEST_REPETITIONS, MOST_REPETITIONS, Latency, measure
from objectives.runtimes.onnxruntime import OnnxRuntime
from tests.objectives.models import convolutional, images

Floats = npt.NDArray[np.float32]
SAMPLE = images(1)
MILLISECOND = 1_000_000


class World:
    """Time that passes only while a model runs, in phases of the machine that slow all models down alike."""

    def __init__(self, slowdown: Callable[[int], float] = lambda call: 1.0) -> None:
        self.now = 0
        self.calls: list[str] = []
        self._slowdown = slowdown

    def clock(self) -> int:
        return self.now

    def model(self, name: str, milliseconds: float) -> Callable[[Floats], None]:
        def run(sample: Floats) -> None:
            assert sample is SAMPLE
            self.now += round(milliseconds * MILLISECOND * self._slowdown(len(self.calls)))
            self.calls.append(name)

        return run


def test_steady_machine_gives_exact_values() -> None:
    world = World()
    models = {
        "half": world.model("half", 2.0),
        "same": world.model("same", 4.0),
        "slow": world.model("slow", 10.0),
    }
    result = measure(world.model("dense", 4.0), models, SAMPLE, rounds=3, seconds=2.0, clock=world.clock)
    assert list(result) == ["half", "same", "slow"]
    assert result["half"] == Latency(milliseconds=2.0, speedup=2.0, speedup_low=2.0, speedup_high=2.0, rounds=3)
    assert result["same"].speedup == 1.0
    assert result["slow"].speedup == pytest.approx(0.4)


def test_slow_phases_do_not_touch_the_ratio() -> None:
    # After 6 calls of warm-up a round is 50 pairs. Phases of 100 calls, every second one three times slower,
    # change in the middle of each round: measured in two blocks, one model would have all the slow calls.
    world = World(slowdown=lambda call: 3.0 if (call - 56) // 100 % 2 == 0 else 1.0)
    result = measure(
        world.model("dense", 4.0), {"fast": world.model("fast", 2.0)}, SAMPLE, rounds=3, seconds=0.9, clock=world.clock
    )["fast"]
    assert len(world.calls) == 6 + 300
    assert result == Latency(milliseconds=2.0, speedup=2.0, speedup_low=2.0, speedup_high=2.0, rounds=3)


def test_interval_is_the_spread_of_the_rounds() -> None:
    # The candidate alone is disturbed, in the second round only.
    world = World()
    calls = 0

    def candidate(sample: Floats) -> None:
        nonlocal calls
        calls += 1
        second_round = 3 + FEWEST_REPETITIONS < calls <= 3 + 2 * FEWEST_REPETITIONS
        world.now += (4 if second_round else 2) * MILLISECOND

    result = measure(world.model("dense", 4.0), {"c": candidate}, SAMPLE, seconds=0.001, clock=world.clock)["c"]
    assert (result.speedup_low, result.speedup, result.speedup_high) == (1.0, 2.0, 2.0)
    assert result.milliseconds == 2.0


def test_rare_interruptions_are_ignored() -> None:
    generator = np.random.default_rng(0)
    world = World(slowdown=lambda call: 50.0 if generator.uniform() < 0.3 else 1.0)
    result = measure(world.model("dense", 3.0), {"c": world.model("c", 1.0)}, SAMPLE, seconds=1.0, clock=world.clock)[
        "c"
    ]
    assert result.speedup == pytest.approx(3.0)


def test_calls_interleave_in_a_stable_order() -> None:
    world = World()
    models = {"a": world.model("a", 1.0), "b": world.model("b", 1.0)}
    measure(world.model("dense", 1.0), models, SAMPLE, rounds=2, seconds=0.001, clock=world.clock)
    timed = "".join({"dense": "d"}.get(name, name) for name in world.calls)[9:]  # after 3 warm-up calls each
    bursts = FEWEST_REPETITIONS // 5
    first, second = ("d" * 5 + "a" * 5) * bursts, ("d" * 5 + "b" * 5) * bursts
    assert timed == first + second + second + first  # to and fro


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "repetitions"),
    [
        (1.0, 0.001, FEWEST_REPETITIONS),
        (1.0, 0.3, 50),
        (1.0, 60.0, MOST_REPETITIONS),
        (0.0, 1.0, MOST_REPETITIONS),
    ],
)
def test_repetitions_follow_the_budget(milliseconds: float, seconds: float, repetitions: int) -> None:
    world = World()
    models = {"c": world.model("c", milliseconds)}
    measure(world.model("dense", milliseconds), models, SAMPLE, rounds=3, seconds=seconds, clock=world.clock)
    assert world.calls.count("c") == 3 + 3 * repetitions
    if repetitions not in (FEWEST_REPETITIONS, MOST_REPETITIONS):
        assert world.now == pytest.approx(seconds * 1e9, rel=0.1)


def test_clock_too_coarse_to_see_a_call_gives_finite_numbers() -> None:
    world = World()
    result = measure(world.model("d", 0.0), {"c": world.model("c", 0.0)}, SAMPLE, clock=world.clock)["c"]
    assert result.speedup == 1.0


def test_garbage_collector_pauses_and_comes_back() -> None:
    during: list[bool] = []

    def model(sample: Floats) -> None:
        during.append(gc.isenabled())

    assert gc.isenabled()
    measure(model, {"c": model}, SAMPLE, rounds=1, seconds=0.001)
    assert not any(during)
    assert gc.isenabled()
    gc.disable()
    try:
        measure(model, {"c": model}, SAMPLE, rounds=1, seconds=0.001)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_failing_model_is_passed_on_and_leaves_the_collector_on() -> None:
    def broken(sample: Floats) -> None:
        raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        measure(lambda sample: None, {"c": broken}, SAMPLE, seconds=0.001)
    assert gc.isenabled()


def test_nothing_to_measure() -> None:
    assert measure(lambda sample: None, {}, SAMPLE) == {}
    for rounds, seconds in [(0, 1.0), (3, 0.0), (3, float("nan"))]:
        with pytest.raises(ValueError, match="cannot be measured"):
            measure(lambda sample: None, {"c": lambda sample: None}, SAMPLE, rounds=rounds, seconds=seconds)


def spin(milliseconds: float) -> Callable[[Floats], None]:
    def run(sample: Floats) -> None:
        end = time.perf_counter_ns() + milliseconds * MILLISECOND
        while time.perf_counter_ns() < end:
            pass

    return run


def test_real_time() -> None:
    result = measure(spin(1.0), {"fast": spin(0.5), "slow": spin(2.0)}, SAMPLE, seconds=0.5)
    assert result["fast"].milliseconds == pytest.approx(0.5, rel=0.1)
    assert result["fast"].speedup == pytest.approx(2.0, rel=0.1)
    assert result["slow"].speedup == pytest.approx(0.5, rel=0.1)
    for latency in result.values():
        assert latency.speedup_low <= latency.speedup <= latency.speedup_high


def test_real_models() -> None:
    runtime = OnnxRuntime()
    wide = runtime.session(convolutional(width=64), 1)
    narrow = runtime.session(convolutional(width=16), 1)
    result = measure(wide, {"narrow": narrow, "wide": wide}, SAMPLE, seconds=1.0)
    assert result["narrow"].speedup > 2.0  # a tenth of the arithmetic
    assert 0.7 < result["wide"].speedup < 1.4
    assert result["narrow"].milliseconds < result["wide"].milliseconds
