"""The certificate: what can be said of a drop on images that nothing was chosen by, and how many that takes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log, log1p
from statistics import NormalDist

import numpy.typing as npt

from objectives.bootstrap import bootstrap_bounds
from objectives.exact_paired import exact_upper
from objectives.paired import (
    CONFIDENCE,
    POINTS,
    discordant,
    equal_bounds,
    paired_differences,
    tango_upper,
    tango_variance,
)
from storage.records.certificate import Certificate, Verdict

ERROR = 0.05  # what is usual
MOST_ERROR = 0.5  # a bound that is wrong as often as not bounds nothing
# Share of images that are right for one of both models only, while none are compressed yet: the design's (section 5).
# Mild compression has less, and needs fewer images.
TYPICAL_DISAGREEMENT = 0.04
SHOWN_DIGITS = 2  # of a number of images that is a guess


def certify(
    dense: npt.ArrayLike,
    candidates: Mapping[int, npt.ArrayLike],
    primary: int,
    max_drop: float,
    level: float = ERROR,
) -> tuple[Certificate, ...]:
    """Certificates of all candidates: of the primary one, then of the others by number.

    A candidate is certified if the upper bound of its drop is at most `max_drop`, and fails if the lower one is above.
    The bounds of the primary are wrong with probability `level` each; those of the k others with `level / k`, so that
    any of them is wrong with `level` (Bonferroni). Scores of only 0 and 1 have the bounds of
    `objectives.exact_paired.exact_upper`, others those of `objectives.bootstrap.bootstrap_bounds`.

    Args:
        dense: [n], per-image scores of the dense model in [0, 1], higher is better.
        candidates: by number, [n] scores on the same images in the same order.
        primary: the number of the one that was declared before anything was looked at.
        max_drop: percentage points of the metric that are allowed, in [0, 100].
        level: in (0, 0.5).

    Raises:
        ValueError: `primary` is no candidate, `max_drop` or `level` is out of range, or scores cannot be paired.
    """
    if primary not in candidates:
        raise ValueError(f"the primary candidate {primary} is not among those with scores")
    if not 0.0 <= max_drop <= POINTS:
        raise ValueError(f"an allowed drop is between 0 and 100 points, not {max_drop}")
    if not 0.0 < level < MOST_ERROR:
        raise ValueError(f"an error is above 0 and below {MOST_ERROR}, not {level}")
    others = sorted(number for number in candidates if number != primary)
    judged = [(primary, 1.0 - level), *((number, 1.0 - level / len(others)) for number in others)]
    return tuple(
        _certificate(number, number == primary, dense, candidates[number], max_drop, confidence)
        for number, confidence in judged
    )


def _certificate(
    number: int, primary: bool, dense: npt.ArrayLike, scores: npt.ArrayLike, max_drop: float, confidence: float
) -> Certificate:
    differences, is_binary = paired_differences(dense, scores)
    n = differences.size
    disagreement = float((differences != 0.0).mean())
    if is_binary:
        lost, won = discordant(differences)
        shares = (lost - won) / n, -exact_upper(won, lost, n, confidence), exact_upper(lost, won, n, confidence)
    else:
        shares = float(differences.mean()), *bootstrap_bounds(differences, confidence)
    drop, lower, upper = (POINTS * share for share in shares)
    verdict, needed = Verdict.OPEN, None
    if upper <= max_drop:
        verdict = Verdict.CERTIFIED
    elif lower > max_drop:
        verdict = Verdict.FAILS
    elif drop < max_drop:
        # A bootstrap's margin shrinks as the root of the number of images.
        guess = (
            images_needed(drop, disagreement, max_drop, confidence)
            if is_binary
            else _rounded_up(ceil(n * ((upper - drop) / (max_drop - drop)) ** 2))
        )
        needed = max(guess or 0, _rounded_up(n + 1))
    return Certificate(
        number=number,
        primary=primary,
        verdict=verdict,
        needed=needed,
        drop=drop,
        drop_lower=lower,
        drop_upper=upper,
        n=n,
        disagreement=disagreement,
        confidence=confidence,
        max_drop=max_drop,
    )


def images_needed(drop: float, disagreement: float, max_drop: float, confidence: float) -> int | None:
    """So many images, rounded up to two digits, certify at most `max_drop` points where these shares are seen.

    By Tango's bound (`objectives.paired.tango_upper`), which for more than a few discordant images is that of the
    certificate but for a hundredth of a point. None where no number of images would: `drop` is not below `max_drop`.

    Args:
        drop: points, in [-100, 100].
        disagreement: share of images, in [0, 1], that are right for one of both models only.
        max_drop: points, in [0, 100].
        confidence: of the bound, in (0.5, 1).
    """
    least = _least_images(drop, disagreement, max_drop, confidence)
    return None if least is None else _rounded_up(least)


def smallest_certifiable(n: int, disagreement: float, confidence: float) -> float:
    """Points: the least drop that n >= 1 images can certify of a model that is exactly as good as the dense one.

    The others as for `images_needed`.
    """
    pairs = disagreement * n / 2.0
    return POINTS * max(tango_upper(pairs, pairs, n, confidence), equal_bounds(0.0, n, confidence)[1])


def shortage(
    images: int, max_drop: float, confidence: float = CONFIDENCE, disagreement: float = TYPICAL_DISAGREEMENT
) -> str | None:
    """One line, to be said before anything is trained, where a test split of so many images is too small.

    It is if it could not certify at most `max_drop` points even of a model without any drop. None where it could.
    """
    least = _least_images(0.0, disagreement, max_drop, confidence)
    if least is not None and least <= images:
        return None
    ways = [] if least is None else [f"use about {_rounded_up(least)}"]
    if images > 0:
        hundredths = ceil(POINTS * smallest_certifiable(images, disagreement, confidence))
        ways.append(f"set max_drop to {hundredths / POINTS:g} or more")
    return (
        f"{images} test images cannot certify a drop of at most {max_drop:g} points even where there is none, if "
        f"{POINTS * disagreement:g} % of the answers change: {', or '.join(ways) or 'set max_drop above 0'}"
    )


def _least_images(drop: float, disagreement: float, max_drop: float, confidence: float) -> int | None:
    """`images_needed`, not rounded: the statistic of fixed shares grows with the root of the number of images."""
    if drop >= max_drop:
        return None
    share, allowed = drop / POINTS, max_drop / POINTS
    differing = max(disagreement, abs(share))
    variance = tango_variance((differing + share) / 2.0, (differing - share) / 2.0, 1, allowed)
    least = ceil(NormalDist().inv_cdf(confidence) ** 2 * variance / (allowed - share) ** 2)
    if share >= 0.0 and allowed < 1.0:
        # Even if all images agreed, so many others might not: the rule of three, which Tango's bound falls below.
        least = max(least, ceil(log(1.0 - confidence) / log1p(-allowed)))
    return max(1, least)


def _rounded_up(images: int) -> int:
    """With two digits that are not 0."""
    unit: int = 10 ** max(0, len(str(images)) - SHOWN_DIGITS)
    return -(-images // unit) * unit
