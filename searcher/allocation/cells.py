"""Which cells of every term a mixed-integer program has to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from searcher.allocation.problem import Problem, Term, Values

Mask = npt.NDArray[np.bool_]


def private_sites(problem: Problem) -> frozenset[int]:
    """Sites that one term alone depends on, such as the precision of a layer."""
    count = Counter(site for term in problem.terms for site in term.sites)
    return frozenset(site for site, number in count.items() if number == 1)


def undominated(problem: Problem, rows: Sequence[int]) -> list[Mask]:
    """For each term the cells worth having, shaped as its levels.

    Left out are cells beside which another, that differs only at sites private to the term, is as good in every
    quantity of `rows` and better in one, or equal and earlier. A best plan without them always exists.
    """
    private = private_sites(problem)
    return [_undominated(term, private, rows) for term in problem.terms]


def _undominated(term: Term, private: frozenset[int], rows: Sequence[int]) -> Mask:
    own = [axis for axis, site in enumerate(term.sites) if site in private]
    shared = [axis for axis, site in enumerate(term.sites) if site not in private]
    shape = term.tables.shape[1:]
    ordered = term.tables[list(rows)].transpose(0, *(1 + axis for axis in (*shared, *own)))
    choices = prod(shape[axis] for axis in own)
    values = ordered.reshape(len(rows), -1, choices)  # [quantities, shared cells, private choices]
    keep = np.ones(values.shape[1:], np.bool_)
    for choice in range(choices):
        this = values[:, :, choice, None]
        as_good = (values <= this).all(axis=0)
        better = as_good & (values < this).any(axis=0)
        earlier = as_good & (np.arange(choices) < choice)
        keep[:, choice] = ~(better | earlier).any(axis=1)
    inverse = np.argsort([*shared, *own])
    found: Mask = keep.reshape([shape[axis] for axis in (*shared, *own)]).transpose(inverse)
    return found


def consistent(problem: Problem, masks: Sequence[Mask]) -> list[Mask]:
    """The cells of `masks` without those at levels that another term has no cell for, until nothing changes."""
    allowed = [np.ones(count, np.bool_) for count in problem.counts]
    found = [mask.copy() for mask in masks]
    changed = True
    while changed:
        changed = False
        for term, mask in zip(problem.terms, found, strict=True):
            for axis, site in enumerate(term.sites):
                others = tuple(other for other in range(mask.ndim) if other != axis)
                seen = mask.any(axis=others)
                if (allowed[site] & ~seen).any():
                    allowed[site] &= seen
                    changed = True
                shape = [-1 if other == axis else 1 for other in range(mask.ndim)]
                np.logical_and(mask, allowed[site].reshape(shape), out=mask)
    return found


def below(masks: Sequence[Mask], least: Sequence[Values], most: float) -> list[Mask]:
    """The cells of `masks` that some plan of a weighted cost up to `most` may use; `least` of each cell is given."""
    return [mask & (values <= most) for mask, values in zip(masks, least, strict=True)]
