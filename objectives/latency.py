"""Latency of whole models, each beside a fixed reference."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

ROUNDS = 7  # some of them meet the machine in a quiet moment: with 3, equal int8 files came out at 1.5x and 2.0x
SECONDS = 30.0  # for everything that is measured in one go
FEWEST_REPETITIONS = 10  # a round: with fewer, too many rounds would be wholly interrupted
MOST_REPETITIONS = 100  # a round: more did not make ratios repeat any better
# Calls in a row before the turn changes: caches are warm for most of them, as in use, and yet a slow phase of
# the machine, which lasts milliseconds, hits the reference and the candidate alike.
BURST = 5
WARM_UP = 3  # calls before the first timed one: allocations and lazily packed weights
PERCENTILE = 10.0  # interruptions only ever add time; the minimum would reward a lucky call
NANOSECONDS_PER_SECOND = 1e9
NANOSECONDS_PER_MILLISECOND = 1e6

Model = Callable[[npt.NDArray[np.float32]], Any]
Clock = Callable[[], int]  # nanoseconds, never falling


@dataclass(frozen=True)
class Latency:
    """Time of one call beside the reference; the ratio repeats better than the milliseconds do."""

    milliseconds: float  # lowest round; lower is better
    speedup: float  # reference over candidate, each at its lowest round; above 1 is faster than the reference
    speedup_low: float  # lowest ratio of one round
    speedup_high: float  # highest ratio of one round
    rounds: int


def measure(
    reference: Model,
    candidates: Mapping[str, Model],
    sample: npt.NDArray[np.float32],
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Latency]:
    """Time every candidate in turn with `reference` on `sample`.

    In each round each candidate, in the order of the mapping and back again, alternates with the reference in short
    bursts of calls. A round's time is the 10th percentile of its calls, a model's the lowest of its rounds; the
    speed-up compares a candidate with the calls of the reference between its own. Python's garbage collector pauses.

    Args:
        reference: the dense model. To learn its milliseconds, measure it as a candidate too.
        candidates: name -> callable, all loaded; the result has the same names in the same order.
        sample: one batch as every callable takes it.
        rounds: >= 1; the interval of the speed-up is their spread.
        seconds: budget for the whole, > 0, from which the number of calls a round is chosen, between 10 and
            100 for each candidate. With many slow models the 10 take longer than the budget.
        clock: nanoseconds.

    Raises:
        ValueError: rounds or seconds out of range. What a callable raises is passed on.
    """
    if rounds < 1 or not seconds > 0:
        raise ValueError(f"{rounds} rounds in {seconds} seconds cannot be measured")
    if not candidates:
        return {}
    share = seconds * NANOSECONDS_PER_SECOND / (rounds * len(candidates))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    with _garbage_collector_paused():
        reference_once = _warm_up(reference, sample, clock)
        bursts = {
            name: _bursts(share / (reference_once + _warm_up(candidate, sample, clock)))
            for name, candidate in candidates.items()
        }
        for number in range(rounds):
            # To and fro, so that no candidate always comes after the same one.
            order = list(candidates) if number % 2 == 0 else list(candidates)[::-1]
            for name in order:
                times[name].append(_round(reference, candidates[name], sample, bursts[name], clock))
    return {name: _latency(pairs) for name, pairs in times.items()}


def _warm_up(model: Model, sample: npt.NDArray[np.float32], clock: Clock) -> float:
    """Nanoseconds of one warm call, at least 1."""
    return max(1.0, min(_burst(model, sample, WARM_UP, clock)))


def _bursts(affordable: float) -> int:
    """Bursts a round for as many repetitions as are affordable, within the bounds."""
    return ceil(min(max(affordable, FEWEST_REPETITIONS), MOST_REPETITIONS) / BURST)


def _round(
    reference: Model, candidate: Model, sample: npt.NDArray[np.float32], bursts: int, clock: Clock
) -> tuple[float, float]:
    """10th percentiles of the calls of the reference and of the candidate, in nanoseconds."""
    reference_times: list[int] = []
    times: list[int] = []
    for _ in range(bursts):
        reference_times += _burst(reference, sample, BURST, clock)
        times += _burst(candidate, sample, BURST, clock)
    return _low_percentile(reference_times), _low_percentile(times)


def _low_percentile(times: list[int]) -> float:
    # At least 1: a coarse clock can read 0, and there are ratios to be taken.
    return max(1.0, float(np.percentile(times, PERCENTILE)))


def _burst(model: Model, sample: npt.NDArray[np.float32], calls: int, clock: Clock) -> list[int]:
    times: list[int] = []
    for _ in range(calls):
        start = clock()
        model(sample)
        times.append(clock() - start)
    return times


def _latency(pairs: list[tuple[float, float]]) -> Latency:
    """Summary of (reference, candidate) nanoseconds, one pair a round."""
    ratios = [reference / candidate for reference, candidate in pairs]
    best_reference = min(reference for reference, _ in pairs)
    best = min(candidate for _, candidate in pairs)
    return Latency(
        milliseconds=best / NANOSECONDS_PER_MILLISECOND,
        speedup=best_reference / best,  # always within the spread of the rounds
        speedup_low=min(ratios),
        speedup_high=max(ratios),
        rounds=len(pairs),
    )


@contextmanager
def _garbage_collector_paused() -> Iterator[None]:
    """Collect once, then leave the collector off until the block ends; on again only if it was on."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
