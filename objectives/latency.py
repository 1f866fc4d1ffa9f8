"""Latency of whole models, each beside a fixed reference, by what they take while nothing else slows the processor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

SECONDS = 60.0  # at most, for everything that is measured in one go
TURNS = 10  # quiet ones of each model: the speed-ups of equal files then differ by about half a percent
FEWEST_TURNS = 3  # of each model, whatever they take
# Calls in a row before the turn changes: caches are warm for most of them, as in use, and yet a slow phase of
# the machine, which lasts from milliseconds to seconds, hits the reference and the candidate alike.
BURST = 5
# Of slow models: more of their bursts are quiet when they are short. The first call is the one with cold caches.
SHORTEST_BURST = 3
BURST_NANOSECONDS = 12e6
WARM_UP = 3  # calls before the first timed one: allocations and lazily packed weights
# What the reference may take, beside its shortest burst, in a quiet moment. Where a core has two threads and another
# program runs on the other one, float kernels take 1.35 times as long and int8 kernels 1.6 times.
QUIET = 1.15
INTERVAL = (5.0, 95.0)  # percentiles of the ratios
NANOSECONDS_PER_MILLISECOND = 1e6

Model = Callable[[npt.NDArray[np.float32]], Any]
Clock = Callable[[], int]  # nanoseconds, never falling


@dataclass(frozen=True)
class Latency:
    """Time of one call beside the reference; the ratio repeats better than the milliseconds do."""

    milliseconds: float  # median turn; lower is better
    speedup: float  # reference over candidate, median turn; above 1 is faster than the reference
    speedup_low: float  # 5th percentile of the turns
    speedup_high: float  # 95th percentile of the turns
    turns: int  # that count
    is_quiet: bool  # whether the machine was, in these turns


class Reference:
    """The model that all others are timed beside. It remembers its shortest burst, which tells quiet moments from
    others: kept for several sessions, it holds for all of them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._shortest = float("inf")

    def saw(self, nanoseconds: float) -> None:
        """One call of a burst took so long."""
        self._shortest = min(self._shortest, nanoseconds)

    def is_quiet(self, nanoseconds: float) -> bool:
        """Whether a burst of such calls was not disturbed."""
        return nanoseconds <= QUIET * self._shortest


@dataclass(frozen=True)
class _Turn:
    """Nanoseconds of one call of a candidate, and of the reference right before and after."""

    before: float
    own: float
    after: float

    @property
    def ratio(self) -> float:
        return (self.before + self.after) / 2 / self.own


def measure(
    reference: Model | Reference,
    candidates: Mapping[str, Model],
    sample: npt.NDArray[np.float32],
    turns: int = TURNS,
    seconds: float = SECONDS,
    fewest: int = FEWEST_TURNS,
    clock: Clock = time.perf_counter_ns,
) -> dict[str, Latency]:
    """Time every candidate in turn with `reference` on `sample`.

    In each round each candidate, in the order of the mapping and back again, runs for a short burst of calls between
    two bursts of the reference; a burst's time is the lower quartile of its calls. A turn counts if both bursts of the
    reference were quiet; candidates go on until they have enough such turns or time is up. One without any goes by the
    shortest bursts of its turns. Python's garbage collector pauses.

    Args:
        reference: the dense model. To learn its milliseconds, measure it as a candidate too.
        candidates: name -> callable, all loaded; the result has the same names in the same order.
        sample: one batch as every callable takes it.
        turns: quiet turns that are enough, >= 1.
        seconds: budget for the whole, > 0. A round is ended, and `fewest` rounds are made, whatever they take.
        fewest: rounds, >= 1.
        clock: nanoseconds.

    Raises:
        ValueError: turns, seconds or fewest out of range. What a callable raises is passed on.
    """
    if min(turns, fewest) < 1 or not seconds > 0:
        raise ValueError(f"{turns} turns, {fewest} at least, in {seconds} seconds cannot be measured")
    if not candidates:
        return {}
    if not isinstance(reference, Reference):
        reference = Reference(reference)
    found: dict[str, list[_Turn]] = {name: [] for name in candidates}
    with _garbage_collector_paused():
        end = clock() + seconds * NANOSECONDS_PER_MILLISECOND * 1e3
        slowest = max(_warm_up(model, sample, clock) for model in (reference.model, *candidates.values()))
        calls = int(np.clip(BURST_NANOSECONDS / slowest, SHORTEST_BURST, BURST))
        lacking = list(candidates)
        for number in count():
            # To and fro, so that no candidate always comes after the same one.
            before = _burst(reference.model, sample, calls, clock)
            for name in lacking if number % 2 == 0 else reversed(lacking):
                own = _burst(candidates[name], sample, calls, clock)
                after = _burst(reference.model, sample, calls, clock)
                found[name].append(_Turn(before, own, after))
                reference.saw(after)
                before = after
            if number + 1 >= fewest:
                # Turns of before may cease to count when the reference is seen to be faster than ever.
                lacking = [name for name, items in found.items() if len(_quiet(items, reference)) < turns]
                if not lacking or clock() >= end:
                    break
    return {name: _latency(_quiet(items, reference)) or _shortest(items) for name, items in found.items()}


def _quiet(turns: Sequence[_Turn], reference: Reference) -> list[_Turn]:
    return [turn for turn in turns if reference.is_quiet(max(turn.before, turn.after))]


def _latency(turns: Sequence[_Turn]) -> Latency | None:
    """Of quiet turns; None without any."""
    if not turns:
        return None
    ratios = [turn.ratio for turn in turns]
    low, high = np.percentile(ratios, INTERVAL)
    return Latency(
        milliseconds=median(turn.own for turn in turns) / NANOSECONDS_PER_MILLISECOND,
        speedup=median(ratios),
        speedup_low=float(low),
        speedup_high=float(high),
        turns=len(turns),
        is_quiet=True,
    )


def _shortest(turns: Sequence[_Turn]) -> Latency:
    """Of turns each of which was disturbed somewhere."""
    own = min(turn.own for turn in turns)
    reference = min(min(turn.before, turn.after) for turn in turns)
    ratios = [reference / own, *(turn.ratio for turn in turns)]
    return Latency(own / NANOSECONDS_PER_MILLISECOND, ratios[0], min(ratios), max(ratios), len(turns), is_quiet=False)


def _warm_up(model: Model, sample: npt.NDArray[np.float32], clock: Clock) -> float:
    return _burst(model, sample, WARM_UP, clock)


def _burst(model: Model, sample: npt.NDArray[np.float32], calls: int, clock: Clock) -> float:
    """Nanoseconds of one of several calls in a row: the lower quartile, since interruptions only ever add time, and the
    shortest would reward a lucky call. At least 1: a coarse clock can read 0, and there are ratios to be taken."""
    times = []
    for _ in range(calls):
        start = clock()
        model(sample)
        times.append(clock() - start)
    return max(1.0, float(sorted(times)[(calls - 1) // 4]))


def disturbed(figures: Mapping[str, Latency]) -> str | None:
    """What to tell of a session in which some files were never timed in a quiet moment; None if all were."""
    count = sum(not figure.is_quiet for figure in figures.values())
    if not count:
        return None
    return (
        f"{count} of {len(figures)} files were timed while something else slowed the processor: "
        "`slimfront measure` times them again"
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
