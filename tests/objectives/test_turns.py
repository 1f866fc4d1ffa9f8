"""What turns tell of a speed-up in quiet, against simulated machines of which that is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from objectives.turns import FEWEST_QUIET, LEAST_DEVIATION, MOST_DEVIATION, UNKNOWN_SHIFT, Speedup, Turn, speedups

NOISE = 0.04  # of the logarithm of a turn's ratio, as measured beside other programs
MOST_NOISE = MOST_DEVIATION / 2  # what is further off is not quiet


def turns(speedup: float, count: int, generator: np.random.Generator | None = None) -> list[Turn]:
    """So many turns of a candidate that is so much faster; exact without a generator."""
    noise = (
        np.zeros(count) if generator is None else np.clip(generator.normal(0, NOISE, count), -MOST_NOISE, MOST_NOISE)
    )
    return [Turn(1.0, math.exp(-value) / speedup, 1.0) for value in np.clip(noise, -MOST_NOISE, MOST_NOISE)]


def test_ratios_are_to_what_the_reference_takes_around() -> None:
    turn = Turn(2.0, 1.0, 4.0)
    assert (turn.reference, turn.ratio, turn.slower) == (3.0, 3.0, 4.0)


def test_a_quiet_machine_gives_exact_values() -> None:
    every = [turns(2.0, 10), turns(0.5, 10)]
    found = speedups(every, every)
    assert [item.value for item in found] == pytest.approx([2.0, 0.5])
    assert all(0 < item.error < LEAST_DEVIATION for item in found)


def test_without_a_quiet_turn_the_median_is_all_there_is() -> None:
    (found,) = speedups([[*turns(2.0, 5), *turns(3.0, 2)]], [[]])
    assert found.value == pytest.approx(2.0)
    assert found.error >= UNKNOWN_SHIFT


def test_what_disturbs_all_alike_is_taken_off_all() -> None:
    """Also of the one that found no quiet turn itself."""
    quick, slow, unseen = turns(2.0, FEWEST_QUIET), turns(1.0, FEWEST_QUIET), turns(3.0 / 1.2, 40)
    found = speedups([[*turns(2.0 / 1.2, 40), *quick], [*turns(1.0 / 1.2, 40), *slow], unseen], [quick, slow, []])
    assert [item.value for item in found] == pytest.approx([2.0, 1.0, 3.0], rel=0.01)
    assert found[2].error < UNKNOWN_SHIFT / 5


def test_what_disturbs_files_unalike_is_told_by_their_own_quiet_turns() -> None:
    """An int8 file loses a fifth, a float one nothing: nobody can tell which of them a third one is like."""
    quick, slow = turns(2.0, 10), turns(1.0, 10)
    found = speedups([[*turns(2.0 / 1.2, 90), *quick], [*turns(1.0, 90), *slow], turns(1.5, 90)], [quick, slow, []])
    assert [item.value for item in found[:2]] == pytest.approx([2.0, 1.0], rel=0.01)
    assert found[2].value == pytest.approx(1.5 * math.sqrt(1.2), rel=0.01)
    assert found[2].error > 0.1


@pytest.mark.parametrize(("every", "expected"), [(40, 2.0), (FEWEST_QUIET - 1, 2.4)])
def test_two_quiet_turns_tell_only_if_there_are_no_more(every: int, expected: float) -> None:
    others = turns(1.0, 20)
    freaks = turns(2.4, FEWEST_QUIET - 1)
    own = [*turns(2.0, every - len(freaks)), *freaks]
    found = speedups([own, others, others], [freaks, others, others])
    assert found[0].value == pytest.approx(expected, rel=0.01)


def test_a_single_candidate_goes_by_its_quiet_turns() -> None:
    quiet = turns(2.0, 5)
    (found,) = speedups([[*turns(1.8, 50), *quiet]], [quiet])
    assert found.value == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("unalike", [0.0, 0.08])
def test_all_turns_together_tell_more_and_errors_say_how_much(unalike: float) -> None:
    """Beside the mean of the quiet turns, over sessions of 20 files that find 3 quiet turns of 80."""
    generator = np.random.default_rng(0)
    together, alone, surprises = [], [], []
    for _ in range(100):
        lost = 0.05 + unalike * generator.normal(size=20)
        quiet = [turns(1.5, FEWEST_QUIET, generator) for _ in lost]
        every = [[*turns(1.5 * math.exp(-one), 80, generator), *own] for one, own in zip(lost, quiet, strict=True)]
        found = speedups(every, quiet)
        together += deviations([item.value for item in found])
        alone += deviations([math.exp(np.mean([math.log(turn.ratio) for turn in own])) for own in quiet])
        surprises += surprise(found)
    root = math.sqrt(np.mean(np.square(together)) / np.mean(np.square(alone)))
    assert root < (0.5 if unalike == 0 else 1.0)
    assert np.std(surprises) == pytest.approx(1.0, abs=0.25)


def deviations(values: Sequence[float]) -> list[float]:
    return [math.log(value / 1.5) for value in values]


def surprise(found: Sequence[Speedup]) -> list[float]:
    """Deviations from the truth over what the errors promise."""
    return [math.log(item.value / 1.5) / item.error for item in found]
