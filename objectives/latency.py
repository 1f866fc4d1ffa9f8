"""Latency of whole models, each beside a fixed reference, by what they take while nothing else slows the processor."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

SECONDS = 60.0  # at most, for everything that is measured in one go, but for slow models
# At least, before a session ends: what looks quiet may be the middle of a disturbance. They last 0.5 to 20 seconds.
LEAST_SECONDS = 10.0
TURNS = 10  # quiet ones of each model: the speed-ups of equal files then differ by 0.3 to 1.2 %
FEWEST_TURNS = 3  # of each model, whatever they take; with fewer quiet ones it was not measured in quiet
# Calls in a row before the turn changes: caches are warm for most of them, as in use, and yet a slow phase of the
# machine hits the reference and the candidate alike. Quiet moments between what another program does on the same core
# last 1 to 4 ms, so that more of short bursts are quiet. The first call is the one with cold caches.
BURST = 3
WARM_UP = 3  # calls before the first timed one: allocations and lazily packed weights
# What the reference may take, beside its shortest bursts, in a quiet moment. Where a core has two threads and another
# program runs on the other one, float kernels take 1.35 times as long and int8 kernels 1.6 times.
QUIET = 1.15
SHORTEST_KEPT = 3  # bursts of the reference, the longest of which is the measure: a single one may be a freak
# Without a quiet burst, after which what was known before is of another clock of the processor: no disturbance lasts
# as long.
FORGET_SECONDS = 30.0
INTERVAL = (5.0, 95.0)  # percentiles of the ratios
NANOSECONDS_PER_MILLISECOND = 1e6
NANOSECONDS_PER_SECOND = 1e9
MILLISECONDS_PER_SECOND = 1e3
SHOWN_NAMES = 8  # of files that were not timed in quiet

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
        seconds = 0.0 if self._since is None else (now - self._since) / NANOSECONDS_PER_SECOND
        if seconds >= FORGET_SECONDS and self._shortest and self._shortest[-1] > QUIET * self._known:
            self._known = float("inf")
        return self._is_trusted or seconds >= LEAST_SECONDS


@dataclass(frozen=True, slots=True)
class _Turn:
    """Nanoseconds of one call of a candidate, and of the reference right before and after."""

    before: float
    own: float
    after: float

    @property
    def ratio(self) -> float:
        return (self.before + self.after) / 2 / self.own

    @property
    def slower(self) -> float:
        """The longer of the reference's two."""
        return max(self.before, self.after)


class _Turns:
    """Those of one candidate that are quiet, and the least disturbed ones."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._turns: list[_Turn] = []
        self._least: list[_Turn] = []
        self._shortest: list[float] = []
        self._quiet: list[_Turn] = []
        # How many turns `_quiet` is of, and what was known then of quiet: of the reference, and of the candidate.
        self._filtered = 0, (float("inf"), float("inf"))

    def add(self, turn: _Turn) -> None:
        self._turns.append(turn)
        self._shortest = sorted([*self._shortest, turn.own])[:SHORTEST_KEPT]
        self._least = sorted([*self._least, turn], key=lambda item: item.slower)[:FEWEST_TURNS]

    def quiet(self) -> list[_Turn]:
        """Those in which the reference was quiet before and after, and the candidate between them: quiet moments may
        be shorter than a turn. A turn ceases to be quiet when one of the two is seen to be faster; what the reference
        forgets lets some be so again."""
        count, known = self._filtered
        now = self._reference.quiet_ns, self._shortest[-1] if self._shortest else float("inf")
        if known != now:
            count, self._quiet = 0, []
        self._quiet += [
            turn for turn in self._turns[count:] if self._reference.is_quiet(turn.slower) and turn.own <= QUIET * now[1]
        ]
        self._filtered = len(self._turns), now
        return self._quiet

    def latency(self) -> Latency:
        kept = self.quiet()
        is_quiet = len(kept) >= len(self._least)
        counted = kept if is_quiet else self._least
        ratios = [turn.ratio for turn in counted]
        low, high = np.percentile(ratios, INTERVAL)
        return Latency(
            milliseconds=median(turn.own for turn in counted) / NANOSECONDS_PER_MILLISECOND,
            speedup=median(ratios),
            speedup_low=float(low),
            speedup_high=float(high),
            turns=len(counted),
            is_quiet=is_quiet,
        )


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
    two bursts of the reference. A turn counts if both of these were quiet; candidates go on until all have enough such
    turns and the reference has been watched for long enough, or time is up. One with fewer than three quiet turns goes
    by its three least disturbed ones. Python's garbage collector pauses.

    Args:
        reference: the dense model. To learn its milliseconds, measure it as a candidate too.
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
                found[name].add(_Turn(before, own, after))
                reference.saw(after)
                before = after
            if number + 1 < fewest:
                continue
            now = clock()
            is_watched = reference.is_watched(now)
            wanted = [name for name, items in found.items() if len(items.quiet()) < turns]
            if now - started >= seconds * NANOSECONDS_PER_SECOND or (not wanted and is_watched):
                break
            wanted = wanted or list(candidates)
    return {name: items.latency() for name, items in found.items()}


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
    """What to tell of a session in which some files were not timed in quiet; None if all were."""
    names = [name for name, figure in figures.items() if not figure.is_quiet]
    if not names:
        return None
    shown = ", ".join(names[:SHOWN_NAMES]) + (" and more" if len(names) > SHOWN_NAMES else "")
    return (
        f"{len(names)} of {len(figures)} files ({shown}) found no quiet moment: something else slowed the processor, "
        "and int8 files most"
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
