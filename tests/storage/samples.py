"""Records to fill stores with, and hypothesis strategies for them."""

from __future__ import annotations

import string
from dataclasses import replace

from hypothesis import strategies as st

from storage.records.candidate import Candidate, Proposal
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.study import Analysis, FrontRow
from storage.records.timing import TimedRow, Timing

ANALYSIS = Analysis('{"sites":[]}', "library-1", '{"accuracy":88.5}', "a processor, 2 cores", "workload-1")

TIMED = (TimedRow(2, 0.5, 2.0, 1.9, 2.1), TimedRow(1, 1.0, 1.0, 0.9, 1.1))
SURE = Timing("onnxruntime", "a processor, 2 cores", 1, 1, tuple(replace(row, speedup_error=0.01) for row in TIMED[:1]))
TIMING = Timing("onnxruntime", "a processor, 2 cores", 1, 1, TIMED)

# Everything that a database must bring back, without what one_line takes out: NUL and lone surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
names = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
bounds = st.none() | st.floats(allow_nan=False)
candidates = st.builds(Candidate, levels=st.lists(st.integers(0, 40), max_size=8).map(tuple), weights=texts)
proposals = st.builds(
    Proposal, candidate=candidates, origin=texts, baseline=st.none() | texts, parent=st.none() | st.integers(1, 999)
)
measurements = st.builds(
    Measurement,
    objective=names,
    value=numbers,
    unit=texts,
    direction=st.sampled_from(Direction),
    samples=st.integers(0, 2**31 - 1),
    low=bounds,
    high=bounds,
)


def results(count: int) -> st.SearchStrategy[list[Result]]:
    """Lists of results of the trials 1 to `count`, each (number, rung) at most once."""
    one = st.builds(
        Result,
        number=st.integers(1, count),
        rung=st.sampled_from(Rung),
        measurements=st.lists(measurements, max_size=4, unique_by=lambda item: item.objective).map(tuple),
        per_image=st.none() | st.binary(max_size=40),
        artifact=st.none() | texts,
        seconds=st.floats(0, 1e9),
    )
    return st.lists(one, max_size=6, unique_by=lambda result: (result.number, result.rung))


def proposal(
    *levels: int, origin: str = "allocation", baseline: str | None = None, parent: int | None = None
) -> Proposal:
    """A proposal of the library "library-1"."""
    return Proposal(Candidate(levels, "library-1"), origin, baseline, parent)


def result(number: int, rung: Rung = Rung.QUICK, accuracy: float = 88.0) -> Result:
    """A result with an accuracy and a size."""
    return Result(
        number,
        rung,
        (
            Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, 256, accuracy - 1.5, accuracy + 1.5),
            Measurement("size", 1000.0 + number, "bytes", Direction.MINIMIZE),
        ),
        per_image=bytes([number % 256]) * 8,
        artifact=f"{number}",
        seconds=0.25,
    )


def front(*numbers: int, rung: Rung = Rung.QUICK) -> tuple[FrontRow, ...]:
    """A front of these trials in this order."""
    return tuple(FrontRow(position, number, rung.value) for position, number in enumerate(numbers))
