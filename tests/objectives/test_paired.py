"""Paired bounds: published values, coverage, edge cases; packed scores."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import ttest_rel

from objectives.paired import PairedDrop, pack_scores, paired_drop, tango_upper, unpack_scores

SHARES = arrays(np.float32, st.integers(min_value=1, max_value=60), elements=st.floats(0, 1, width=32))


def binary(both: int, lost: int, won: int, neither: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    dense = np.repeat(np.array([1, 1, 0, 0], np.float32), [both, lost, won, neither])
    candidate = np.repeat(np.array([1, 0, 1, 0], np.float32), [both, lost, won, neither])
    return dense, candidate


def test_tango_matches_a_published_interval() -> None:
    # Airway hyper-responsiveness before and after a transplantation (Bentur et al. 2009): of 21 children 1
    # and 7 are discordant. Tango's 95 % interval after Fagerland, Lydersen and Laake (2014).
    assert tango_upper(1, 7, 21, confidence=0.975) == pytest.approx(-0.026, abs=5e-4)
    assert -tango_upper(7, 1, 21, confidence=0.975) == pytest.approx(-0.517, abs=5e-4)


@pytest.mark.parametrize(("lost", "won", "n"), [(40, 20, 160), (3, 9, 50), (0, 4, 30), (5, 0, 30), (25, 5, 31)])
def test_tango_inverts_the_score_test(lost: int, won: int, n: int) -> None:
    """At the bound the score statistic is z, with the nuisance share found by maximising the likelihood."""
    bound = tango_upper(lost, won, n)

    def loss(share: float) -> float:
        cells = np.array([share + bound, share, 1 - bound - 2 * share])
        return -float(xlogy([lost, won, n - lost - won], np.maximum(cells, 1e-300)).sum())

    low, high = max(0.0, -bound), (1 - bound) / 2
    share = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x)
    statistic = (lost - won - n * bound) / np.sqrt(n * (2 * share + bound * (1 - bound)))
    assert statistic == pytest.approx(-1.6448536, abs=1e-3)


def test_margin_at_five_thousand_images() -> None:
    # The design's example: 4 % disagreement on 5,000 images leaves a margin of 0.47 points.
    drop = paired_drop(*binary(4400, 100, 100, 400))
    assert drop.drop_points == 0.0
    assert drop.upper_points == pytest.approx(0.47, abs=0.01)
    assert drop.disagreement == pytest.approx(0.04)
    assert drop.n == 5000


def test_direction() -> None:
    worse = paired_drop(*binary(80, 10, 2, 8))
    better = paired_drop(*binary(80, 2, 10, 8))
    assert worse.drop_points == pytest.approx(8.0)
    assert worse.lower_points > 0
    assert (better.drop_points, better.upper_points, better.lower_points) == pytest.approx(
        (-worse.drop_points, -worse.lower_points, -worse.upper_points)
    )


@pytest.mark.parametrize("n", [1, 20, 5000])
def test_no_discordant_images_still_leave_a_width(n: int) -> None:
    drop = paired_drop(*binary(n, 0, 0, 0))
    assert drop.drop_points == 0.0
    z_squared = 1.6448536**2
    assert drop.upper_points == pytest.approx(100 * z_squared / (n + z_squared))  # Tango's closed form
    assert drop.lower_points == pytest.approx(-drop.upper_points)


def test_everything_lost() -> None:
    drop = paired_drop(*binary(0, 30, 0, 0))
    assert (drop.drop_points, drop.upper_points, drop.disagreement) == (100.0, 100.0, 1.0)
    assert 80.0 < drop.lower_points < 100.0


@settings(deadline=None, max_examples=200)
@given(*[st.integers(min_value=0, max_value=200)] * 4)
def test_binary_bounds_enclose_the_drop(both: int, lost: int, won: int, neither: int) -> None:
    n = both + lost + won + neither
    if n == 0:
        return
    drop = paired_drop(*binary(both, lost, won, neither))
    assert -100.0 <= drop.lower_points <= drop.drop_points <= drop.upper_points <= 100.0
    assert drop.upper_points - drop.lower_points > 0.1
    assert drop.drop_points == pytest.approx(100 * (lost - won) / n)


@cache
def upper(lost: int, won: int, n: int) -> float:
    return tango_upper(lost, won, n)


@pytest.mark.parametrize(
    ("n", "lost", "won"), [(200, 0.05, 0.03), (1000, 0.03, 0.02), (1000, 0.01, 0.01), (4000, 0.02, 0.012)]
)
def test_coverage_of_binary_bounds(n: int, lost: float, won: float) -> None:
    draws = np.random.default_rng(7).multinomial(n, [lost, won, 1 - lost - won], size=3000)
    above = np.mean([upper(int(a), int(b), n) >= lost - won for a, b, _ in draws])
    below = np.mean([-upper(int(b), int(a), n) <= lost - won for a, b, _ in draws])
    # Nominal 95 %; 3,000 draws have a standard error of 0.4, and the interval itself is approximate.
    assert 0.93 <= above <= 0.975
    assert 0.93 <= below <= 0.975


def test_coverage_of_other_scores() -> None:
    generator = np.random.default_rng(11)
    covered = {"upper": 0, "lower": 0}
    draws, n = 1500, 200
    for _ in range(draws):
        dense = generator.beta(8, 2, size=n)
        candidate = np.clip(dense + generator.choice([-0.2, -0.05, 0.1], size=n, p=[0.2, 0.4, 0.4]), 0, 1)
        drop = paired_drop(dense, candidate)
        covered["upper"] += drop.upper_points >= TRUE_DROP_POINTS
        covered["lower"] += drop.lower_points <= TRUE_DROP_POINTS
    assert 0.93 <= covered["upper"] / draws <= 0.97
    assert 0.93 <= covered["lower"] / draws <= 0.97


def true_drop_points() -> float:
    generator = np.random.default_rng(12)
    dense = generator.beta(8, 2, size=2_000_000)
    shift = generator.choice([-0.2, -0.05, 0.1], size=dense.size, p=[0.2, 0.4, 0.4])
    return float(100 * (dense - np.clip(dense + shift, 0, 1)).mean())


TRUE_DROP_POINTS = true_drop_points()


def test_other_scores_use_the_t_interval() -> None:
    generator = np.random.default_rng(3)
    dense, candidate = generator.uniform(size=(2, 50)).astype(np.float32)
    drop = paired_drop(dense, candidate)
    reference = ttest_rel(dense.astype(float), candidate.astype(float)).confidence_interval(0.90)
    assert drop.drop_points == pytest.approx(100 * float((dense.astype(float) - candidate).mean()))
    assert (drop.lower_points, drop.upper_points) == pytest.approx((100 * reference.low, 100 * reference.high))


@pytest.mark.parametrize("n", [1, 10, 3000])
@pytest.mark.parametrize("shift", [0.0, 0.25])
def test_equal_differences_still_leave_a_width(n: int, shift: float) -> None:
    dense = np.full(n, 0.5, np.float32)
    drop = paired_drop(dense, dense - np.float32(shift))
    unseen = 1 - 0.05 ** (1 / n)
    assert drop.drop_points == pytest.approx(100 * shift)
    assert drop.upper_points == pytest.approx(100 * (shift + unseen * (1 - shift)))
    assert drop.lower_points == pytest.approx(100 * (shift - unseen * (1 + shift)))


@settings(deadline=None)
@given(SHARES, st.integers(min_value=0, max_value=100))
def test_bounds_of_other_scores_enclose_the_drop(dense: npt.NDArray[np.float32], seed: int) -> None:
    candidate = np.random.default_rng(seed).permutation(dense)
    drop = paired_drop(dense, candidate)
    assert -100.0 <= drop.lower_points <= drop.drop_points <= drop.upper_points <= 100.0
    assert drop.disagreement == np.mean(dense != candidate)


@pytest.mark.parametrize(
    ("dense", "candidate", "message"),
    [
        ([], [], "shape"),
        ([[1.0]], [[1.0]], "shape"),
        ([1.0, 0.0], [1.0], "paired"),
        ([np.nan], [1.0], "NaN"),
        ([1.0], [1.5], "within"),
    ],
)
def test_refusals(dense: npt.ArrayLike, candidate: npt.ArrayLike, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_drop(dense, candidate)


@pytest.mark.parametrize(("lost", "won", "n"), [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(lost: int, won: int, n: int) -> None:
    with pytest.raises(ValueError, match="impossible"):
        tango_upper(lost, won, n)


def test_result_is_a_value() -> None:
    pair = binary(5, 1, 1, 1)
    assert paired_drop(*pair) == paired_drop(*pair)
    assert isinstance(paired_drop(*pair), PairedDrop)


@pytest.mark.parametrize("kind", [(0.0, 1.0), (0.0, 0.25, 0.5, 1.0)])
def test_more_confidence_makes_wider_bounds(kind: tuple[float, ...]) -> None:
    generator = np.random.default_rng(0)
    dense, candidate = generator.choice(kind, size=(2, 200))
    usual, wide = paired_drop(dense, candidate), paired_drop(dense, candidate, 0.999)
    assert usual == paired_drop(dense, candidate, 0.95)
    assert wide.lower_points < usual.lower_points < usual.drop_points < usual.upper_points < wide.upper_points
    with pytest.raises(ValueError, match=r"above 0\.5 and below 1, not 1"):
        paired_drop(dense, candidate, 1.0)


@settings(deadline=None)
@given(arrays(np.float32, st.integers(min_value=0, max_value=300), elements=st.floats(width=32)))
def test_packed_scores_come_back_bit_by_bit(scores: npt.NDArray[np.float32]) -> None:
    back = unpack_scores(pack_scores(scores))
    assert back.dtype == np.float32
    assert back.tobytes() == scores.tobytes()
    assert pack_scores(scores.astype(">f4")) == pack_scores(scores)  # whatever the byte order in memory
    back += 1  # writable, and its own


def test_packed_bytes_are_little_endian_and_small() -> None:
    scores = np.array([1.0, 0.5], np.float32)
    assert zlib.decompress(pack_scores(scores)) == bytes.fromhex("0000803f0000003f")
    right = (np.random.default_rng(0).uniform(size=10_000) < 0.9).astype(np.float32)
    assert len(pack_scores(right)) < 5000


@pytest.mark.parametrize("junk", [b"", b"junk", zlib.compress(b"12345")])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(ValueError, match="not packed scores"):
        unpack_scores(junk)


def test_matrix_is_not_packed() -> None:
    with pytest.raises(ValueError, match="shape"):
        pack_scores(np.zeros((2, 2), np.float32))
