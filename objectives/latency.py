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

from objectives.turns import Turn, are_enough, speedups

# At most, for everything that is measured in one go, but for slow models: beside other programs, speed-ups are then
# known to about 1 %, and in three times the time hardly better.
SECONDS = 20.0
# At least, before a session ends: what looks quiet may be the middle of a disturbance. They last 0.5 to 20 seconds.
LEAST_SECONDS = 10.0
TURNS = 10  # quiet ones of each model: the speed-ups of equal files then differ by 0.3 to 1.2 %
FEWEST_TURNS = 3  # of each model, whatever they take
# Calls in a row before the turn changes: caches are warm for most of them, as in use, and yet a slow phase of the
# machine hits the reference and the candidate alike. Quiet moments between what another program does on the same core
# last 1 to 4 ms, so that more of short bursts are quiet. The first call is the one with cold caches.
BURST = 3
WARM_UP = 3  # calls before the first timed one: allocations and lazily packed weights
# What the reference may take, beside its shortest bursts, in a quiet moment. Where a core has two threads and another
# program runs on the other one, float kernels take 1.35 times as long and int8 kernels 1.6 times.
QUIET = 1.15
SHORTEST_KEPT = 3  # bursts of the reference, the longest of which is the measure: a single one may be a freak
# Where not even a few bursts of thousands were quiet for so long, what was known before is of another clock of the
# processor. A session goes on until then.
FORGET_SECONDS = 30.0
INTERVAL = (5.0, 95.0)  # percentiles of the ratios
NANOSECONDS_PER_MILLISECOND = 1e6
NANOSECONDS_PER_SECOND = 1e9
MILLISECONDS_PER_SECOND = 1e3
KNOWN_ERROR = 0.03  # of a speed-up that others may be compared with
SHOWN_NAMES = 8  # of files whose speed is not known

Model = Callable[[npt.NDArray[np.float32]], Any]
Clock = Callable[[], int]  # nanoseconds, never falling


@dataclass(frozen=True)
class Latency:
    """Time of one call in quiet, and beside the reference; the ratio repeats better than the milliseconds do."""

    milliseconds: float  # lower is better
    speedup: float  # reference over candidate; above 1 is faster than the reference
    speedup_low: float  # 5th percentile of the turns, at most `speedup`
    speedup_high: float  # 95th percentile of the turns, at least `speedup`
    turns: int  # that these percentiles are of: the quiet ones, or all where there are hardly any
    is_quiet: bool  # whether these were
    error: float  # relative standard error of `speedup` as it is in quiet

    @property
    def is_known(self) -> bool:
        """Whether `speedup` is well enough known to be compared with others."""
        return self.error <= KNOWN_ERROR


class Reference:
    """The model that all others are timed beside. It remembers its shortest bursts, which tell quiet moments from
    others, and since when it has been watched: kept for several sessions, it holds for all of them."""

    def __init__(self, model: Model, quiet_ms: float | None = None) -> None:
        """`quiet_ms` is what a call takes in quiet where that is known already."""
        self.model = model
        self._known = float("inf") if quiet_ms is None else quiet_ms * NANOSECONDS_PER_MILLISECOND
        self._is_trusted = quiet_ms is not None
        self._since: int | None = None  # nanoseconds of the clock
        self._shortest: list[float] = []

    @property
    def quiet_ns(self) -> float:
        """Nanoseconds of a call in quiet, as far as is known."""
        return min(self._known, self._shortest[-1] if self._shortest else float("inf"))

    @property
    def is_trusted(self) -> bool:
        """Whether quiet is known without watching."""
        return self._is_trusted

    def trust(self) -> None:
        """Takes what there is for quiet."""
        self._is_trusted = True

    def saw(self, nanoseconds: float) -> None:
        """One call of a burst took so long."""
        if len(self._shortest) < SHORTEST_KEPT or nanoseconds < self._shortest[-1]:
            self._shortest = sorted([*self._shortest, nanoseconds])[:SHORTEST_KEPT]

    def is_quiet(self, nanoseconds: float) -> bool:
        """Whether a burst of such calls was not disturbed."""
        return nanoseconds <= QUIET * self.quiet_ns

    def watch(self, now: int) -> None:
        """Begins to watch, if that has not begun."""
        self._since = now if self._since is None else self._since

    def is_watched(self, now: int) -> bool:
        """Whether quiet is known, or was watched for, by the time `now`. Forgets what has not been seen for long."""
        seconds = self._watched_seconds(now)
        if seconds >= FORGET_SECONDS and self._is_unseen():
            self._known = float("inf")
        return self._is_trusted or seconds >= LEAST_SECONDS

    def is_doubtful(self, now: int) -> bool:
        """Whether what was known of quiet has not been seen, and is not forgotten yet."""
        return self._watched_seconds(now) < FORGET_SECONDS and self._is_unseen()

    def _watched_seconds(self, now: int) -> float:
        return 0.0 if self._since is None else (now - self._since) / NANOSECONDS_PER_SECOND

    def _is_unseen(self) -> bool:
        return bool(self._shortest) and self._shortest[-1] > QUIET * self._known


class _Turns:
    """Those of one candidate, and which of them are quiet."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._every: list[Turn] = []
        self._shortest: list[float] = []
        self._quiet: list[Turn] = []
        self._disturbed: list[Turn] = []
        # How many turns these two are of, and what was known then of quiet: of the reference, and of the candidate.
        self._sorted = 0, (float("inf"), float("inf"))

    def add(self, turn: Turn) -> None:
        self._every.append(turn)
        self._shortest = sorted([*self._shortest, turn.own])[:SHORTEST_KEPT]

    def quiet(self) -> list[Turn]:
        """Those in which the reference was quiet before and after, and the candidate between them: quiet moments may
        be shorter than a turn. A turn ceases to be quiet when one of the two is seen to be faster; what the reference
        forgets lets some be so again."""
        self._sort()
        return self._quiet

    def disturbed(self) -> list[Turn]:
        """All others."""
        self._sort()
        return self._disturbed

    def _sort(self) -> None:
        count, known = self._sorted
        now = self._reference.quiet_ns, self._shortest[-1] if self._shortest else float("inf")
        if known != now:
            count, self._quiet, self._disturbed = 0, [], []
        for turn in self._every[count:]:
            is_quiet = self._reference.is_quiet(turn.slower) and turn.own <= QUIET * now[1]
            (self._quiet if is_quiet else self._disturbed).append(turn)
        self._sorted = len(self._every), now


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
    two bursts of the reference. A turn is quiet if these three were; candidates go on until all have enough such turns
    and the reference has been watched for long enough, or time is up. What they are in quiet is then told by these
    turns and by all others, see `objectives.turns.speedups`. Python's garbage collector pauses.

    Args:
        reference: the dense model. To learn its milliseconds, measure it as a candidate too: the same object, so that
            its speed-up is 1.
        candidates: name -> callable, all loaded; the result has the same names in the same order.
        sample: one batch as every callable takes it.
        turns: quiet turns that are enough, >= 1.
        seconds: budget for the whole, > 0. A round is ended, and `fewest` rounds are made, whatever they take.
        fewest: rounds, >= 1, at most `turns`.
        clock: nanoseconds.

    Raises:
        ValueError: turns, seconds or fewest out of range. What a callable raises is passed on.
    """
    if not 1 <= fewest <= turns or not seconds > 0:
        raise ValueError(f"{turns} turns, {fewest} at least, in {seconds} seconds cannot be measured")
    if not candidates:
        return {}
    if not isinstance(reference, Reference):
        reference = Reference(reference)
    found = {name: _Turns(reference) for name in candidates}
    with _garbage_collector_paused():
        started = clock()
        for model in (reference.model, *candidates.values()):
            _burst(model, sample, WARM_UP, clock)
        wanted = list(candidates)
        reference.watch(clock())
        for number in count():
            # To and fro, so that no candidate always comes after the same one.
            before = _burst(reference.model, sample, BURST, clock)
            reference.saw(before)
            for name in wanted if number % 2 == 0 else reversed(wanted):
                own = _burst(candidates[name], sample, BURST, clock)
                after = _burst(reference.model, sample, BURST, clock)
                found[name].add(Turn(before, own, after))
                reference.saw(after)
                before = after
            if number + 1 < fewest:
                continue
            now = clock()
            is_watched = reference.is_watched(now)
            wanted = [name for name, items in found.items() if len(items.quiet()) < turns]
            if not wanted and is_watched:
                break
            if now - started >= seconds * NANOSECONDS_PER_SECOND and not reference.is_doubtful(now):
                break
            wanted = wanted or list(candidates)
    itself = next((place for place, model in enumerate(candidates.values()) if model is reference.model), None)
    return _latencies(found, reference, itself)


def _latencies(found: Mapping[str, _Turns], reference: Reference, itself: int | None) -> dict[str, Latency]:
    quiet = [items.quiet() for items in found.values()]
    disturbed = [items.disturbed() for items in found.values()]
    figures = {}
    # Of all candidates, so that their milliseconds are to each other as their speed-ups.
    reference_ns = _reference_ns(reference, quiet, disturbed)
    told = speedups(disturbed, quiet, itself)
    for name, speedup, in_quiet, others in zip(found, told, quiet, disturbed, strict=True):
        is_quiet = are_enough(len(in_quiet), len(others))
        counted = in_quiet if is_quiet else [*in_quiet, *others]
        low, high = np.percentile([turn.ratio for turn in counted], INTERVAL)
        figures[name] = Latency(
            milliseconds=reference_ns / speedup.value / NANOSECONDS_PER_MILLISECOND,
            speedup=speedup.value,
            speedup_low=min(float(low), speedup.value),
            speedup_high=max(float(high), speedup.value),
            turns=len(counted),
            is_quiet=is_quiet,
            error=speedup.error,
        )
    return figures


def _reference_ns(reference: Reference, quiet: Sequence[Sequence[Turn]], disturbed: Sequence[Sequence[Turn]]) -> float:
    """What the reference takes in quiet: in the median quiet turn; in its shortest bursts, here or before, where there
    are hardly any such turns."""
    found = [turn.reference for turns in quiet for turn in turns]
    if are_enough(len(found), sum(map(len, disturbed))):
        return float(median(found))
    return reference.quiet_ns


def _burst(model: Model, sample: npt.NDArray[np.float32], calls: int, clock: Clock) -> float:
    """Nanoseconds of the shortest of several calls in a row, since interruptions only ever add time. At least 1: a
    coarse clock can read 0, and there are ratios to be taken."""
    times = []
    for _ in range(calls):
        start = clock()
        model(sample)
        times.append(clock() - start)
    return max(1.0, float(min(times)))


def disturbed(figures: Mapping[str, Latency]) -> str | None:
    """What to tell of a session in which quiet moments were too few for some files; None if they were not."""
    unknown = {name: figure for name, figure in figures.items() if not figure.is_known}
    if not unknown:
        return None
    shown = ", ".join([*unknown][:SHOWN_NAMES]) + (" and more" if len(unknown) > SHOWN_NAMES else "")
    error = max(figure.error for figure in unknown.values())
    return (
        f"the speed-ups of {len(unknown)} of {len(figures)} files ({shown}) have standard errors of up to "
        f"{100 * error:.0f} %: the processor had few quiet moments, or none"
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
