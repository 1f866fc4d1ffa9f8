"""Both learners beside one alone: what seeds tell of a gap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.alone import AIMS, JOINT, Gap, Throw, gaps, ratios

SEEDS = 6
CONFIDENT_SHARE, OF = 0.05, 20  # of equal searches that are called worse: by one cost, and by all of 20


def throws(learners: str, drops: Sequence[dict[str, float]]) -> list[Throw]:
    return [Throw("size", learners, seed, found, 1.0) for seed, found in enumerate(drops)]


def test_gaps_are_of_the_same_seed() -> None:
    joint = throws(JOINT, [{"2": 1.0, "4": 3.0}, {"2": 2.0, "4": 5.0}])
    alone = throws("bits alone", [{"2": 0.5, "4": 1.0}, {"2": 1.5, "4": 7.0}])
    (two, four) = gaps(joint, alone)
    assert (two.ratio, two.joint, two.alone, two.mean, two.error) == ("2", 1.5, 1.0, 0.5, 0.0)
    assert four.mean == 0.0
    assert four.error == pytest.approx(2.0)


def test_costs_that_not_all_reach_or_that_are_useless_are_left_out() -> None:
    joint = throws(JOINT, [{"2": 1.0, "4": 3.0, "8": 5.0}, {"2": 1.0, "8": 5.0}])
    alone = throws("bits alone", [{"2": 0.5, "4": 1.0, "8": 11.0}, {"2": 0.5, "4": 1.0, "8": 12.0}])
    assert [item.ratio for item in gaps(joint, alone)] == ["2"]


def test_equal_searches_are_called_worse_as_often_as_is_said() -> None:
    generator = np.random.default_rng(0)
    once = together = 0
    repeats = 1000
    for _ in range(repeats):
        own = generator.standard_normal((OF, SEEDS))
        found = [Gap("2", 1.0, 1.0, float(row.mean()), float(row.std(ddof=1)) / SEEDS**0.5) for row in own]
        once += sum(item.is_worse(SEEDS) for item in found)
        together += any(item.is_worse(SEEDS, OF) for item in found)
    assert once / (repeats * OF) == pytest.approx(CONFIDENT_SHARE, abs=0.006)
    assert together / repeats == pytest.approx(CONFIDENT_SHARE, abs=0.025)


def test_a_clear_gap_is_called_worse() -> None:
    assert Gap("2", 2.0, 1.0, 1.0, 0.1).is_worse(SEEDS, OF)
    assert not Gap("2", 1.0, 2.0, -1.0, 0.1).is_worse(SEEDS)


def test_ratios_go_up_to_the_most_that_is_looked_at() -> None:
    for aim in AIMS.values():
        found = ratios(aim)
        assert found == sorted(set(found))
        assert 1.0 < found[0] < found[-1] <= aim.most
