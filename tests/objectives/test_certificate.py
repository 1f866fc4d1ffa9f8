"""Certificates: verdicts, confidences, order, and how many images they need."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from objectives.certificate import (
    TYPICAL_DISAGREEMENT,
    certify,
    images_needed,
    shortage,
    smallest_certifiable,
)
from objectives.exact_paired import exact_upper
from objectives.paired import tango_upper
from storage.records.certificate import Certificate, Verdict
from tests.shared_material import REPOSITORY

N = 2000
Scores = npt.NDArray[np.float32]


def scores(lost: int = 0, won: int = 0, n: int = N) -> Scores:
    """Those of a candidate: the dense model is right where `DENSE` is."""
    values = dense(n)
    values[:lost] = 0
    values[n - won :] = 1
    return values


def dense(n: int = N) -> Scores:
    return np.repeat(np.array([1, 0], np.float32), [n - n // 10, n // 10])


def one(candidate: Scores, max_drop: float, level: float = 0.05) -> Certificate:
    return certify(dense(len(candidate)), {7: candidate}, 7, max_drop, level)[0]


def test_certified() -> None:
    found = one(scores(12, 8), 1.0)
    assert (found.number, found.primary, found.verdict, found.needed) == (7, True, Verdict.CERTIFIED, None)
    assert found.drop == pytest.approx(0.2)
    assert found.drop_upper == 100 * exact_upper(12, 8, N)
    assert found.drop_lower == -100 * exact_upper(8, 12, N)
    assert found.drop_lower < found.drop < found.drop_upper <= 1.0
    assert (found.n, found.disagreement, found.confidence, found.max_drop) == (N, 0.01, 0.95, 1.0)
    assert found.sentence.startswith("certified: at most ")


def test_fails() -> None:
    found = one(scores(60, 5), 1.0)
    assert (found.verdict, found.needed) == (Verdict.FAILS, None)
    assert found.drop_lower > 1.0


def test_open_says_how_many_images_would_do() -> None:
    found = one(scores(30, 20), 0.9)
    assert found.verdict is Verdict.OPEN
    assert found.needed is not None
    assert found.needed > N
    assert found.needed == images_needed(0.5, 0.025, 0.9, 0.95)
    many = -(-found.needed // N)
    assert one(scores(30 * many, 20 * many, N * many), 0.9).verdict is Verdict.CERTIFIED
    assert f"needs about {found.needed} images" in found.sentence


@pytest.mark.parametrize("max_drop", [0.5, 0.4, 0.0])
def test_no_number_of_images_helps_where_the_drop_is_not_below(max_drop: float) -> None:
    found = one(scores(30, 20), max_drop)
    assert (found.verdict, found.needed) == (Verdict.OPEN, None)
    assert "more images would hardly help" in found.sentence


def test_needed_is_always_more_than_there_are() -> None:
    """Tango's bound lies a little below the exact one, so that its number of images may be reached already."""
    tango, exact = 100 * tango_upper(3, 2, 200), 100 * exact_upper(3, 2, 200)
    found = one(scores(3, 2, 200), (tango + exact) / 2)
    assert found.verdict is Verdict.OPEN
    assert found.needed == 210


def test_a_better_candidate_is_certified_to_lose_nothing() -> None:
    found = one(scores(2, 30), 0.0)
    assert found.verdict is Verdict.CERTIFIED
    assert found.drop_upper < 0.0


def test_the_primary_is_first_and_the_others_share_the_error() -> None:
    candidates = {9: scores(5, 5), 4: scores(6, 2), 7: scores(), 2: scores(200)}
    found = certify(dense(), candidates, 7, 1.0)
    assert [item.number for item in found] == [7, 2, 4, 9]
    assert [item.primary for item in found] == [True, False, False, False]
    assert [item.confidence for item in found] == [0.95] + [1 - 0.05 / 3] * 3
    assert found[3].drop_upper == 100 * exact_upper(5, 5, N, 1 - 0.05 / 3)
    assert found[0] == certify(dense(), {7: scores()}, 7, 1.0)[0]  # whatever else is judged
    assert certify(dense(), candidates, 7, 1.0, level=0.01)[0].confidence == 0.99


def test_other_scores_have_a_bootstrap() -> None:
    generator = np.random.default_rng(0)
    soft = generator.beta(8, 2, N).astype(np.float32)
    worse = np.clip(soft - generator.choice([0.0, 0.03, -0.02], N), 0, 1).astype(np.float32)
    loose, tight, below = (certify(soft, {1: worse}, 1, allowed)[0] for allowed in (1.0, 0.35, 0.2))
    assert loose.verdict is Verdict.CERTIFIED
    assert loose.drop == pytest.approx(100 * float((soft.astype(float) - worse).mean()))
    assert loose.drop - 0.15 < loose.drop_lower < loose.drop < loose.drop_upper < loose.drop + 0.15
    assert tight.verdict is Verdict.OPEN
    assert tight.needed is not None
    assert N < tight.needed < 1_000_000
    assert (below.verdict, below.needed) == (Verdict.OPEN if below.drop_lower <= 0.2 else Verdict.FAILS, None)
    assert certify(soft, {1: worse}, 1, 1.0)[0] == loose


def test_equal_scores_are_not_certain() -> None:
    soft = np.full(500, 0.5, np.float32)
    assert certify(soft, {1: soft}, 1, 1.0)[0].drop_upper == pytest.approx(100 * (1 - 0.05 ** (1 / 500)))
    right = np.ones(500, np.float32)
    assert certify(right, {1: right}, 1, 1.0)[0].drop_upper == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"primary": 8}, "primary candidate 8 is not among"),
        ({"max_drop": -0.1}, "between 0 and 100 points"),
        ({"max_drop": float("nan")}, "between 0 and 100 points"),
        ({"level": 0.5}, "above 0 and below 0.5"),
        ({"candidates": {7: scores(n=30)}}, "cannot be paired"),
    ],
)
def test_refusals(changed: dict[str, object], message: str) -> None:
    given = {"dense": dense(), "candidates": {7: scores()}, "primary": 7, "max_drop": 1.0, **changed}
    with pytest.raises(ValueError, match=message):
        certify(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("drop", "disagreement", "max_drop", "confidence"),
    [
        (0.0, 0.04, 0.5, 0.95),
        (0.2, 0.04, 0.5, 0.95),
        (-0.3, 0.02, 0.1, 0.99),
        (0.1, 0.3, 2.0, 0.998),
        (-2, 0.05, 0, 0.9),
    ],
)
def test_so_many_images_do_and_fewer_do_not(
    drop: float, disagreement: float, max_drop: float, confidence: float
) -> None:
    needed = images_needed(drop, disagreement, max_drop, confidence)
    assert needed is not None
    assert len(str(needed).rstrip("0")) <= 2

    def bound(n: int) -> float:
        share = drop / 100
        return 100 * tango_upper(n * (disagreement + share) / 2, n * (disagreement - share) / 2, n, confidence)

    assert bound(needed) <= max_drop
    assert bound(round(0.85 * needed)) > max_drop


def test_images_of_which_none_differ() -> None:
    needed = images_needed(0.0, 0.0, 0.5, 0.95)
    assert needed == 600  # the rule of three
    assert 100 * exact_upper(0, 0, needed) <= 0.5


def test_no_number_of_images_is_enough_for_more_than_is_allowed() -> None:
    assert images_needed(0.5, 0.04, 0.5, 0.95) is None
    assert images_needed(0.9, 0.04, 0.5, 0.95) is None
    assert images_needed(-100.0, 0.0, 0.0, 0.95) is not None
    assert images_needed(0.0, 1.0, 100.0, 0.95) is not None


def test_what_so_many_images_can_certify() -> None:
    assert smallest_certifiable(5000, 0.04, 0.95) == pytest.approx(0.468, abs=1e-3)  # the design's example
    assert smallest_certifiable(5000, 0.04, 0.99) > smallest_certifiable(5000, 0.04, 0.95)
    assert smallest_certifiable(500, 0.0, 0.95) == pytest.approx(100 * (1 - 0.05 ** (1 / 500)))
    with pytest.raises(ValueError, match="impossible"):
        smallest_certifiable(0, 0.04, 0.95)


def test_shortage_is_announced() -> None:
    assert shortage(5000, 0.5) is None
    assert shortage(4000, 0.5) == (
        "4000 test images cannot certify a drop of at most 0.5 points even where there is none, if 4 % of the answers "
        "change: use about 4400, or set max_drop to 0.53 or more"
    )
    assert shortage(5000, 0.5, confidence=0.99) is not None
    assert shortage(1000, 0.5, disagreement=0.001) is None
    assert TYPICAL_DISAGREEMENT == 0.04


def test_the_images_that_a_shortage_names_are_enough() -> None:
    for max_drop in (0.1, 0.37, 2.0):
        needed = images_needed(0.0, TYPICAL_DISAGREEMENT, max_drop, 0.95)
        assert needed is not None
        assert f"use about {needed}," in str(shortage(needed // 2, max_drop))
        assert shortage(needed, max_drop) is None


def test_nothing_certifies_a_drop_of_nothing() -> None:
    assert str(shortage(5000, 0.0)).endswith("change: set max_drop to 0.47 or more")
    assert str(shortage(0, 0.0)).endswith("change: set max_drop above 0")
    assert str(shortage(0, 0.5)).endswith("change: use about 4400")


def test_it_is_imported_without_torch_and_scipy() -> None:
    code = (
        "import sys; import objectives.certificate; print([name for name in ('torch', 'scipy') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
