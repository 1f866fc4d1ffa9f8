"""Certificates: paired comparisons of finalists with the dense model on images that nothing was chosen by.

One primary finalist, declared before anything is looked at, is judged with the whole error that is allowed; the others
share it (Bonferroni), so that they are wrong together no more often than it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from objectives.exact_paired import exact_upper
from objectives.paired import POINTS, PairedDrop, is_binary, paired_drop, tango_upper
from storage.records.certificate import Certificate, Verdict

DEFAULT_ERROR = 0.05
# Share of images on which a good candidate answers otherwise than the dense model (design section 5).
TYPICAL_DISAGREEMENT = 0.04
MOST_IMAGES = 10**9  # beyond, nobody has that many
DIGITS = 2  # of a number of images that is an estimate
DRAWS = 10_000  # of the bootstrap: the bound's own error is then about a hundredth of its distance from the drop
SEED = 0  # of the bootstrap
DRAWN_AT_ONCE = 2**22  # indices in memory


def certify(
    dense: npt.ArrayLike,
    candidates: Mapping[int, npt.ArrayLike],
    primary: int,
    max_drop: float,
    error: float = DEFAULT_ERROR,
) -> tuple[Certificate, ...]:
    """The certificates of all candidates, the primary first, then by number.

    Args:
        dense: [n], per-image scores of the dense model in [0, 1], higher is better.
        candidates: by number, [n] on the same images in the same order.
        primary: which of them is judged with the full `error`.
        max_drop: points that are allowed, in [0, 100].
        error: how often a bound may be wrong, in (0, 0.5).

    Raises:
        ValueError: the primary is none of the candidates, a number is out of its range, or scores do not pair.
    """
    if primary not in candidates:
        raise ValueError(f"the primary candidate {primary} is none of {sorted(candidates)}")
    if not 0.0 <= max_drop <= POINTS:
        raise ValueError(f"max_drop is in [0, {POINTS:g}] points, not {max_drop}")
    others = sorted(set(candidates) - {primary})
    shared = 1.0 - error / max(1, len(others))
    found = [_judge(primary, True, dense, candidates[primary], max_drop, 1.0 - error)]
    found += [_judge(number, False, dense, candidates[number], max_drop, shared) for number in others]
    return tuple(found)


def _judge(
    number: int,
    primary: bool,
    dense: npt.ArrayLike,
    candidate: npt.ArrayLike,
    max_drop: float,
    confidence: float,
) -> Certificate:
    drop = exact_drop(dense, candidate, confidence)
    needed = None
    if drop.upper_points <= max_drop:
        verdict = Verdict.CERTIFIED
    elif drop.lower_points > max_drop:
        verdict = Verdict.FAILS
    else:
        verdict = Verdict.OPEN
        needed = images_needed(drop.drop_points, drop.disagreement, max_drop, confidence)
    return Certificate(
        number=number,
        primary=primary,
        verdict=verdict,
        needed=needed,
        drop=drop.drop_points,
        drop_lower=drop.lower_points,
        drop_upper=drop.upper_points,
        n=drop.n,
        disagreement=drop.disagreement,
        confidence=confidence,
        max_drop=max_drop,
    )


def exact_drop(dense: npt.ArrayLike, candidate: npt.ArrayLike, confidence: float) -> PairedDrop:
    """As `objectives.paired.paired_drop`, with exact bounds for scores of 0 and 1, and a bootstrap's for others."""
    rough = paired_drop(dense, candidate, confidence)  # also checks them
    before, after = np.asarray(dense, np.float64), np.asarray(candidate, np.float64)
    differences = before - after
    if is_binary(before) and is_binary(after):
        lost, won = int((differences > 0).sum()), int((differences < 0).sum())
        upper = POINTS * exact_upper(lost, won, rough.n, confidence)
        lower = -POINTS * exact_upper(won, lost, rough.n, confidence)
    elif np.ptp(differences) == 0.0:
        return rough
    else:
        low, high = bootstrap_bounds(differences, confidence)
        upper, lower = POINTS * high, POINTS * low
    return PairedDrop(rough.drop_points, upper, lower, rough.n, rough.disagreement)


def bootstrap_bounds(differences: npt.NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Lower and upper bound of the mean, each one-sided: the bootstrap's percentiles, corrected for bias and
    acceleration (BCa, Efron 1987, "Better Bootstrap Confidence Intervals", JASA 82:171-185). The same each time."""
    count, mean = len(differences), float(differences.mean())
    generator = np.random.Generator(np.random.PCG64(SEED))
    size = max(1, DRAWN_AT_ONCE // count)
    parts = [
        differences[generator.integers(0, count, (min(size, DRAWS - start), count))].mean(1)
        for start in range(0, DRAWS, size)
    ]
    means = np.concatenate(parts)
    normal = NormalDist()
    below = (float((means < mean).sum()) + float((means == mean).sum()) / 2) / DRAWS
    bias = normal.inv_cdf(min(max(below, 1 / DRAWS), 1 - 1 / DRAWS))
    centred = differences - mean
    # The jackknife of a mean: leaving one image out moves it by what that image is away from it.
    acceleration = float((centred**3).sum()) / (6 * float((centred**2).sum()) ** 1.5)

    def quantile(share: float) -> float:
        place = bias + normal.inv_cdf(share)
        return float(np.quantile(means, normal.cdf(bias + place / (1 - acceleration * place))))

    return quantile(1 - confidence), quantile(confidence)


def images_needed(drop: float, disagreement: float, max_drop: float, confidence: float) -> int | None:
    """The number of images, rounded up, at which the upper bound would be at most `max_drop` if drop (points) and
    disagreement (share) stayed as they are; None where no number of images would do."""
    if drop >= max_drop:
        return None
    share, allowed = drop / POINTS, max_drop / POINTS

    def does(count: int) -> bool:
        lost = round(count * (disagreement + share) / 2)
        won = max(0, round(count * disagreement) - lost)
        return tango_upper(lost, won, count, confidence) <= allowed

    spread = max(disagreement - share**2, 1e-9)
    guess = NormalDist().inv_cdf(confidence) ** 2 * spread / (allowed - share) ** 2
    count = max(1, int(guess / 2))
    while not does(count) and count < MOST_IMAGES:
        count = count + count // 20 + 1
    return _rounded_up(count) if count < MOST_IMAGES else None


def smallest_certifiable(images: int, disagreement: float, confidence: float) -> float:
    """The least `max_drop`, in points, that so many images certify of a model that is as good as the dense one and
    answers that share of them otherwise."""
    lost = round(images * disagreement / 2)
    return POINTS * tango_upper(lost, lost, images, confidence)


def shortage(
    images: int, max_drop: float, confidence: float = 1 - DEFAULT_ERROR, disagreement: float = TYPICAL_DISAGREEMENT
) -> str | None:
    """What to say before any training where a test split of so many images cannot certify the drop that is allowed,
    not even of a model that drops nothing; None where it can."""
    least = smallest_certifiable(images, disagreement, confidence)
    if least <= max_drop:
        return None
    needed = images_needed(0.0, disagreement, max_drop, confidence)
    wanted = "more" if needed is None else f"about {needed}"
    return (
        f"the test split has {images} images, too few for a certificate of max_drop = {max_drop:g}: with them at most "
        f"{least:.2f} points can be certified of a model that drops nothing and answers {100 * disagreement:.0f} % "
        f"otherwise; {wanted} would do"
    )


def _rounded_up(count: int) -> int:
    """With DIGITS digits that are not 0."""
    step = int(10 ** max(0, len(str(count)) - DIGITS))
    return -(-count // step) * step
