"""Latency: exact on a clock that the models themselves advance, and real on real models."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from objectives import latency
from objectives.latency import (
    BURST,
    FORGET_SECONDS,
    NANOSECONDS_PER_SECOND,
    TURNS,
    WARM_UP,
    Reference,
    disturbed,
    measure,
)
from objectives.runtimes.onnxruntime import OnnxRuntime
from objectives.turns import LEAST_DEVIATION
from tests.objectives.models import convolutional, images

Floats = npt.NDArray[np.float32]
SAMPLE = images(1)
MILLISECOND = 1_000_000


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends as soon as there are enough quiet turns; a test that waits says so."""
    monkeypatch.setattr(latency, "LEAST_SECONDS", 0.0)


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

    def varying(self, milliseconds: Callable[[int], float]) -> Callable[[Floats], None]:
        """A model whose call takes so long in its n-th burst after it is warm."""
        calls = 0

        def run(sample: Floats) -> None:
            nonlocal calls
            burst = (calls - WARM_UP) // BURST
            calls += 1
            self.now += round(milliseconds(burst) * MILLISECOND)

        return run


def test_steady_machine_gives_exact_values() -> None:
    world = World()
    models = {
        "half": world.model("half", 2.0),
        "same": world.model("same", 4.0),
        "slow": world.model("slow", 10.0),
    }
    result = measure(world.model("dense", 4.0), models, SAMPLE, clock=world.clock)
    assert list(result) == ["half", "same", "slow"]
    half = result["half"]
    assert (half.milliseconds, half.speedup, half.speedup_low, half.speedup_high) == pytest.approx((2.0, 2.0, 2.0, 2.0))
    assert (half.turns, half.is_known, half.error < LEAST_DEVIATION) == (TURNS, True, True)
    assert result["same"].speedup == pytest.approx(1.0)
    assert result["slow"].speedup == pytest.approx(0.4)


def test_enough_quiet_turns_are_enough() -> None:
    world = World()
    measure(world.model("dense", 2.0), {"fast": world.model("fast", 1.0)}, SAMPLE, turns=4, clock=world.clock)
    # Warmed up, then four turns, each between two bursts of the dense model.
    assert world.calls.count("fast") == WARM_UP + 4 * BURST
    assert world.calls.count("dense") == WARM_UP + 8 * BURST


@pytest.mark.parametrize("quiet_from", [0, 40, 1000])  # the last one after enough turns
def test_slow_phases_do_not_count(quiet_from: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program slows the dense model by a third and the int8 ones by two thirds, seven calls in ten."""
    monkeypatch.setattr(latency, "LEAST_SECONDS", 5.0)
    world = World()

    def phase(name: str, busy: float, milliseconds: float) -> Callable[[Floats], None]:
        def run(sample: Floats) -> None:
            is_quiet = len(world.calls) >= quiet_from and len(world.calls) % 100 < 30
            world.now += round((1.0 if is_quiet else busy) * milliseconds * MILLISECOND)
            world.calls.append(name)

        return run

    result = measure(
        phase("dense", 1.35, 4.0),
        {"first": phase("first", 1.6, 2.0), "second": phase("second", 1.6, 2.0)},
        SAMPLE,
        clock=world.clock,
    )
    assert world.now >= 5.0 * NANOSECONDS_PER_SECOND
    for figure in result.values():
        assert figure.speedup == pytest.approx(2.0)
        assert figure.milliseconds == pytest.approx(2.0)
        assert figure.turns >= TURNS
        assert figure.is_known


def test_turns_before_the_first_quiet_moment_cease_to_count() -> None:
    world = World()
    busy = 100  # calls

    def model(name: str, slow: float, quick: float) -> Callable[[Floats], None]:
        def run(sample: Floats) -> None:
            world.now += round((slow if len(world.calls) < busy else quick) * MILLISECOND)
            world.calls.append(name)

        return run

    candidates = {"c": model("c", 1.6, 1.0), "d": model("d", 1.6, 1.0)}
    result = measure(model("dense", 2.7, 2.0), candidates, SAMPLE, clock=world.clock)
    assert [result["c"].speedup, result["d"].speedup] == pytest.approx([2.0, 2.0])


def test_without_quiet_turns_all_count() -> None:
    """Bursts of the reference are quiet one at a time, never two in a row, and most are slower still."""
    world = World()
    dense = world.varying(lambda burst: 1.0 if burst % 2 else 2.0 if burst < 20 else 3.0)
    result = measure(dense, {"c": world.model("c", 0.5)}, SAMPLE, seconds=1.0, clock=world.clock)["c"]
    assert (result.speedup_low, result.speedup, result.speedup_high) == pytest.approx((3.0, 4.0, 4.0))
    assert result.turns == (world.calls.count("c") - WARM_UP) // BURST
    assert not result.is_known
    names = [str(number) for number in range(10)]
    text = disturbed({**dict.fromkeys(names, result), "d": replace(result, error=0.01)})
    assert text is not None
    assert text.startswith(
        "the speed-ups of 10 of 11 files (0, 1, 2, 3, 4, 5, 6, 7 and more) have standard errors of up to 10"
    )
    assert disturbed({"d": replace(result, error=0.01)}) is None


def test_two_quiet_turns_are_not_enough() -> None:
    world = World()
    dense = world.varying(lambda burst: 1.0 if burst < 4 else 2.0)
    result = measure(dense, {"c": world.model("c", 0.5)}, SAMPLE, seconds=0.2, clock=world.clock)["c"]
    assert not result.is_known
    assert result.speedup == pytest.approx(4.0)


def test_milliseconds_of_a_session_are_as_its_speedups() -> None:
    """One candidate is timed while everything takes a little longer, and yet within what counts as quiet."""
    world = World()
    slow = {"on": False}

    def model(name: str, milliseconds: float) -> Callable[[Floats], None]:
        def run(sample: Floats) -> None:
            slow["on"] = name == "b" or (name == "dense" and slow["on"] and world.calls[-1] != "a")
            world.now += round(milliseconds * (1.1 if slow["on"] else 1.0) * MILLISECOND)
            world.calls.append(name)

        return run

    found = measure(model("dense", 2.0), {"a": model("a", 1.0), "b": model("b", 1.0)}, SAMPLE, clock=world.clock)
    assert found["a"].milliseconds * found["a"].speedup == pytest.approx(found["b"].milliseconds * found["b"].speedup)


def test_a_freak_burst_is_no_measure_of_quiet() -> None:
    world = World()
    dense = world.varying(lambda burst: 0.5 if burst == 3 else 1.0)
    result = measure(dense, {"c": world.model("c", 0.5)}, SAMPLE, clock=world.clock)["c"]
    assert result.is_known
    assert result.speedup == pytest.approx(2.0)
    assert result.milliseconds == pytest.approx(0.5)


def test_what_quiet_is_may_be_known_before() -> None:
    """The session has quiet bursts of the dense model, one at a time; that they are quiet, others may have told."""
    for known, expected in ((None, 1.4), (1.35, 1.35)):
        world = World()
        dense = world.varying(lambda burst: 1.35 if burst in (0, 2, 4) else 1.6)
        reference = Reference(dense, known)
        found = measure(reference, {"c": world.model("c", 0.5)}, SAMPLE, seconds=2.0, clock=world.clock)["c"]
        assert (found.is_quiet, found.is_known) == (False, False)
        assert found.milliseconds * found.speedup <= expected
    world = World()
    reference = Reference(world.model("dense", 1.1), 1.0)
    found = measure(reference, {"c": world.model("c", 0.5)}, SAMPLE, seconds=0.5, clock=world.clock)["c"]
    assert found.is_known


def test_what_was_known_of_another_clock_is_forgotten() -> None:
    world = World()
    reference = Reference(world.model("dense", 2.0), 1.0)
    found = measure(reference, {"c": world.model("c", 1.0)}, SAMPLE, clock=world.clock)["c"]
    assert FORGET_SECONDS <= world.now / NANOSECONDS_PER_SECOND < FORGET_SECONDS + 1
    assert found.is_known
    assert found.speedup == pytest.approx(2.0)
    assert found.turns > TURNS
    assert reference.quiet_ns == 2.0 * MILLISECOND


def test_a_known_reference_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "LEAST_SECONDS", 5.0)
    world = World()
    measure(Reference(world.model("d", 1.0), 1.0), {"c": world.model("c", 1.0)}, SAMPLE, clock=world.clock)
    assert world.now < NANOSECONDS_PER_SECOND
    reference = Reference(world.model("d", 1.0))
    measure(reference, {"c": world.model("c", 1.0)}, SAMPLE, clock=world.clock)
    watched = world.now
    assert watched >= 5.0 * NANOSECONDS_PER_SECOND
    measure(reference, {"c": world.model("c", 1.0)}, SAMPLE, clock=world.clock)  # has been watched
    assert world.now - watched < NANOSECONDS_PER_SECOND


def test_interval_is_the_spread_of_the_turns() -> None:
    # The candidate is a little slower in every fourth turn.
    world = World()
    candidate = world.varying(lambda turn: 1.1 if turn % 4 == 3 else 1.0)
    result = measure(world.model("dense", 2.2), {"c": candidate}, SAMPLE, clock=world.clock)["c"]
    assert (result.speedup_low, result.speedup_high) == pytest.approx((2.0, 2.2))
    assert 2.1 < result.speedup < 2.2


def test_turns_in_which_the_candidate_alone_is_disturbed_do_not_count() -> None:
    """Quiet moments may be shorter than a turn: the dense model finds one before and another one after."""
    world = World()
    candidate = world.varying(lambda turn: 1.0 if turn % 3 == 2 else 1.6)
    result = measure(world.model("dense", 2.0), {"c": candidate}, SAMPLE, clock=world.clock)["c"]
    assert (result.speedup_low, result.speedup, result.speedup_high) == pytest.approx((2.0, 2.0, 2.0))
    assert (result.turns, result.is_known) == (TURNS, True)
    assert result.milliseconds == pytest.approx(1.0)


def test_rare_interruptions_are_ignored() -> None:
    generator = np.random.default_rng(0)
    world = World(slowdown=lambda call: 50.0 if generator.uniform() < 0.2 else 1.0)
    result = measure(world.model("dense", 3.0), {"c": world.model("c", 1.0)}, SAMPLE, clock=world.clock)["c"]
    assert result.speedup == pytest.approx(3.0)


def test_calls_interleave_in_a_stable_order() -> None:
    world = World()
    models = {"a": world.model("a", 1.0), "b": world.model("b", 1.0)}
    measure(world.model("dense", 1.0), models, SAMPLE, turns=2, fewest=2, clock=world.clock)
    timed = "".join({"dense": "d"}.get(name, name) for name in world.calls)[3 * WARM_UP :]
    assert timed == "".join(letter * BURST for letter in "dadbd" + "dbdad")  # to and fro


@pytest.mark.parametrize(("seconds", "fewest", "turns"), [(0.001, 1, 1), (0.001, 3, 3), (0.5, 1, 55)])
def test_time_ends_the_search_for_quiet_turns(seconds: float, fewest: int, turns: int) -> None:
    """A model of 1 ms beside one of 1 ms: 9 ms a turn, and 6 ms to warm up."""
    world = World()
    models = {"c": world.model("c", 1.0)}
    measure(world.model("d", 1.0), models, SAMPLE, 1000, seconds, fewest, world.clock)
    assert world.calls.count("c") == WARM_UP + turns * BURST


def test_a_reference_remembers_quiet_moments() -> None:
    """What was quiet in one session is the measure of the next, in which nothing is."""
    world = World()
    reference = Reference(world.model("dense", 4.0))
    measure(reference, {"c": world.model("c", 2.0)}, SAMPLE, clock=world.clock)
    assert reference.is_quiet(4.5 * MILLISECOND)
    reference.model = world.model("dense", 6.0)
    found = measure(reference, {"c": world.model("c", 2.0)}, SAMPLE, seconds=0.1, clock=world.clock)["c"]
    assert not reference.is_quiet(6.0 * MILLISECOND)
    assert not found.is_known
    assert found.speedup == pytest.approx(3.0)


def test_clock_too_coarse_to_see_a_call_gives_finite_numbers() -> None:
    world = World()
    result = measure(world.model("d", 0.0), {"c": world.model("c", 0.0)}, SAMPLE, clock=world.clock)["c"]
    assert result.speedup == pytest.approx(1.0)


def test_garbage_collector_pauses_and_comes_back() -> None:
    during: list[bool] = []

    def model(sample: Floats) -> None:
        during.append(gc.isenabled())

    assert gc.isenabled()
    measure(model, {"c": model}, SAMPLE, turns=1, fewest=1, seconds=0.001)
    assert not any(during)
    assert gc.isenabled()
    gc.disable()
    try:
        measure(model, {"c": model}, SAMPLE, turns=1, fewest=1, seconds=0.001)
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
    for turns, seconds, fewest in [(0, 1.0, 1), (3, 0.0, 1), (3, float("nan"), 1), (3, 1.0, 0), (2, 1.0, 3)]:
        with pytest.raises(ValueError, match="cannot be measured"):
            measure(lambda sample: None, {"c": lambda sample: None}, SAMPLE, turns, seconds, fewest)


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
    for figure in result.values():
        assert figure.speedup_low <= figure.speedup <= figure.speedup_high


def test_real_models() -> None:
    runtime = OnnxRuntime()
    wide = runtime.session(convolutional(width=64), 1)
    narrow = runtime.session(convolutional(width=16), 1)
    result = measure(wide, {"narrow": narrow, "wide": wide}, SAMPLE, seconds=1.0)
    assert result["narrow"].speedup > 2.0  # a tenth of the arithmetic
    assert 0.7 < result["wide"].speedup < 1.4
    assert result["narrow"].milliseconds < result["wide"].milliseconds
