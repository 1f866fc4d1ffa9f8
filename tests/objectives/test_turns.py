"""What turns tell of a speed-up in quiet, against simulated machines of which that is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from objectives.turns import (
    FEWEST_QUIET,
    LEAST_DEVIATION,
    MOST_DEVIATION,
    UNKNOWN_SHIFT,
    USUAL_DEVIATION,
    Speedup,
    Turn,
    speedups,
)

TRUTH = 1.5
KNOWN = 0.03  # an error up to which a speed-up counts as known
LOST = math.log(1.6 / 1.35)  # by an int8 file beside a float one, where another program uses the core

Floats = npt.NDArray[np.float64]


def turns(speedup: float, count: int, noise: Callable[[int], Floats] = np.zeros) -> list[Turn]:
    """So many turns of a candidate that is so much faster; exact without noise."""
    return [Turn(1.0, math.exp(-value) / speedup, 1.0) for value in noise(count)]


def noise(generator: np.random.Generator, deviation: float = USUAL_DEVIATION) -> Callable[[int], Floats]:
    """What is further off is not quiet."""
    most = MOST_DEVIATION / 2
    return lambda count: np.clip(generator.normal(0, deviation, count), -most, most)


def deviations(found: Sequence[Speedup]) -> Floats:
    return np.log([item.value / TRUTH for item in found])


def surprises(found: Sequence[Speedup]) -> Floats:
    """Deviations from the truth over what the errors promise: as large as 1 where they are honest."""
    return deviations(found) / [item.error for item in found]


def size(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def test_ratios_are_to_what_the_reference_takes_around() -> None:
    turn = Turn(2.0, 1.0, 4.0)
    assert (turn.reference, turn.ratio, turn.slower) == (3.0, 3.0, 4.0)


def test_a_quiet_machine_gives_exact_values() -> None:
    found = speedups([[], []], [turns(2.0, 10), turns(0.5, 10)])
    assert [item.value for item in found] == pytest.approx([2.0, 0.5])
    assert all(0 < item.error <= LEAST_DEVIATION for item in found)


def test_without_a_quiet_turn_the_median_is_all_there_is() -> None:
    (found,) = speedups([[*turns(2.0, 5), *turns(3.0, 2)]], [[]])
    assert found.value == pytest.approx(2.0)
    assert found.error >= UNKNOWN_SHIFT


def test_the_reference_is_as_fast_as_itself() -> None:
    found = speedups([turns(1.02, 40), turns(2.0, 40)], [turns(1.1, 1), turns(2.0, 4)], itself=0)
    assert found[0].value == 1.0
    assert found[0].error < LEAST_DEVIATION


def test_what_disturbs_all_alike_is_taken_off_all() -> None:
    """Also of those that found no quiet turn themselves."""
    known, unseen = 10, 3
    disturbed = [turns(TRUTH / 1.2, 40) for _ in range(known + unseen)]
    found = speedups(disturbed, [*[turns(TRUTH, FEWEST_QUIET)] * known, *[[]] * unseen])
    assert size(deviations(found)) < 0.01
    assert max(item.error for item in found) < KNOWN


def test_what_disturbs_files_unalike_is_told_by_their_own_quiet_turns() -> None:
    """An int8 file loses a fifth, a float one nothing: nobody can tell which of them a third one is like."""
    quick, slow, other = turns(2.0 / 1.2, 90), turns(1.0, 90), turns(1.5, 90)
    found = speedups([quick, slow, other], [turns(2.0, 10), turns(1.0, 10), []])
    assert [item.value for item in found[:2]] == pytest.approx([2.0, 1.0], rel=0.02)
    assert found[2].value == pytest.approx(1.5 * math.sqrt(1.2), rel=0.03)
    assert found[2].error > 0.08


@pytest.mark.parametrize(("others", "expected"), [(38, 2.0), (0, 2.4)])
def test_two_quiet_turns_tell_only_if_there_are_no_others(others: int, expected: float) -> None:
    freaks = turns(2.4, FEWEST_QUIET - 1)
    found = speedups([turns(2.0, others), turns(1.0, 20)], [freaks, turns(1.0, 20)])
    assert found[0].value == pytest.approx(expected, rel=0.01)


def test_a_freak_among_quiet_turns_does_not_count() -> None:
    (found,) = speedups([[]], [[*turns(2.0, 9), *turns(2.6, 1)]])
    assert found.value == pytest.approx(2.0, rel=0.002)
    alone, _ = speedups([[], []], [[*turns(2.0, 2), *turns(2.6, 1)], turns(1.0, 9)])  # which leaves too few
    assert alone.value == pytest.approx(2.0)
    assert alone.error >= KNOWN


def test_a_single_candidate_goes_by_its_quiet_turns() -> None:
    (found,) = speedups([turns(1.8, 50)], [turns(2.0, 5)])
    assert found.value == pytest.approx(2.0, rel=0.02)


def test_what_was_never_disturbed_tells_nothing_of_a_disturbance() -> None:
    """Files leave a session when they have enough quiet turns; one stays, and the machine becomes busy."""
    found = speedups([*[[]] * 39, turns(TRUTH * math.exp(-LOST), 500)], [*[turns(TRUTH, 10)] * 39, turns(TRUTH, 2)])
    assert found[-1].error > KNOWN


@pytest.mark.parametrize("unalike", [0.0, 0.08])
def test_all_turns_together_tell_more_and_errors_say_how_much(unalike: float) -> None:
    """Beside the mean of the quiet turns, over sessions of 20 files that find 3 quiet turns of 83."""
    generator = np.random.default_rng(0)
    together, alone, surprised = [], [], []
    for _ in range(100):
        lost = 0.05 + unalike * generator.normal(size=20)
        quiet = [turns(TRUTH, FEWEST_QUIET, noise(generator)) for _ in lost]
        found = speedups([turns(TRUTH * math.exp(-one), 80, noise(generator)) for one in lost], quiet)
        together.append(deviations(found))
        alone.append([np.mean([math.log(turn.ratio / TRUTH) for turn in own]) for own in quiet])
        surprised.append(surprises(found))
    assert size(np.array(together)) < (0.6 if unalike == 0 else 1.0) * size(np.array(alone))
    assert size(np.array(surprised)) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
@pytest.mark.parametrize("deviation", [0.01, USUAL_DEVIATION])
def test_errors_of_quiet_files_are_honest(count: int, deviation: float) -> None:
    """Slow models have a turn or three. How noisy the machine is, single turns cannot tell."""
    generator = np.random.default_rng(count)
    found = [
        item
        for _ in range(200)
        for item in speedups([[]] * 20, [turns(TRUTH, count, noise(generator, deviation)) for _ in range(20)])
    ]
    least = 0.2 if count == 1 and deviation < USUAL_DEVIATION else 0.75
    assert least < size(surprises(found)) < 1.25


@pytest.mark.parametrize("known", [1, 2, 3, 5, 8, 20])
def test_errors_of_files_without_quiet_turns_are_honest(known: int) -> None:
    """Three of four files are of int8. Those that found quiet turns are any of them."""
    generator = np.random.default_rng(known)
    surprised, count, off = [], 0, 0
    for _ in range(150):
        lost = LOST * (generator.uniform(size=40) < 0.75)
        quiet = [turns(TRUTH, 4, noise(generator)) if index < known else [] for index in range(40)]
        found = speedups([turns(TRUTH * math.exp(-one), 80, noise(generator)) for one in lost], quiet)[known:]
        surprised.append(surprises(found))
        certain = [item for item in found if item.error <= KNOWN]
        count += len(found)
        off += int((np.abs(deviations(certain)) > 2 * KNOWN).sum()) if certain else 0
    assert 0.5 < size(np.array(surprised)) < 1.4
    assert off <= 0.03 * count  # of 8 files one time in ten all are of int8


def test_float_files_among_int8_ones_are_not_taken_for_known() -> None:
    """Turns of int8 files are shorter, and find quiet moments; the dense model is the only float file that is known."""
    generator = np.random.default_rng(0)
    int8, floats = 20, 3
    lost = [0.0, *[LOST] * int8, *[0.0] * floats]
    quiet = [[], *[turns(TRUTH, 5, noise(generator))] * int8, *[[]] * floats]
    disturbed = [turns(TRUTH * math.exp(-one), 80, noise(generator)) for one in lost]
    found = speedups(disturbed, quiet, itself=0)
    assert size(deviations(found[1 : 1 + int8])) < 0.03
    assert all(item.error > KNOWN for item in found[-floats:])


def test_a_noisy_file_has_a_larger_error_than_others() -> None:
    generator = np.random.default_rng(0)
    found = [
        speedups([[]] * 41, [*[turns(TRUTH, 10, noise(generator, 0.01)) for _ in range(40)], rough])
        for rough in [turns(TRUTH, 10, noise(generator, 0.06)) for _ in range(50)]
    ]
    assert all(items[-1].error > 2 * items[0].error for items in found)
    assert size(surprises([items[-1] for items in found])) < 1.6
