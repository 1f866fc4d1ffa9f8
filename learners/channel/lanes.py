"""Lanes: what is known of the channels of a value while they are followed through a graph.

Every output channel of a layer is an atom. Atoms that can only be removed together form a unit; unit 0 holds those that
must stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FIXED = 0  # the atom, and then the unit, of everything that must stay
ONLY_CHANNEL = "it is the only channel of a tensor"
Atoms = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Lanes:
    """The axis of a value along which channels can be removed, and the atom (later: unit) at each index of it."""

    axis: int
    atoms: Atoms  # [length of the axis]

    def expand(self, shape: tuple[int, ...]) -> Atoms:
        """The atom of each element of a value of this shape."""
        view: list[Any] = [1] * len(shape)
        view[self.axis] = len(self.atoms)
        return np.broadcast_to(self.atoms.reshape(view), shape)


class Partition:
    """Which atoms belong together: union-find, the smallest atom standing for its unit (Tarjan 1975)."""

    def __init__(self) -> None:
        self._parents = [FIXED]
        self._reasons: dict[int, str] = {}
        self._joined: list[tuple[int, int]] = []  # pairs of atoms, as they were joined
        self._roots: Atoms | None = None  # of every atom; None after a change

    def fresh(self, count: int) -> Atoms:
        """New atoms, each by itself."""
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        self._roots = None
        return np.arange(start, start + count)

    def root(self, atom: int) -> int:
        """The smallest atom of the unit of `atom`."""
        while self._parents[atom] != atom:
            self._parents[atom] = self._parents[self._parents[atom]]
            atom = self._parents[atom]
        return atom

    def roots(self, atoms: Atoms) -> Atoms:
        """`root` of each."""
        if self._roots is None:
            self._roots = np.array([self.root(atom) for atom in range(len(self._parents))], np.int64)
        found: Atoms = self._roots[atoms]
        return found

    def join(self, first: Atoms, second: Atoms) -> None:
        """Joins the units of `first` and `second`, index by index."""
        for one, other in zip(first.reshape(-1).tolist(), second.reshape(-1).tolist(), strict=True):
            if FIXED not in (one, other):
                self._joined.append((one, other))
            low, high = sorted((self.root(one), self.root(other)))
            self._parents[high] = low
            self._roots = None

    def join_all(self, atoms: Atoms) -> None:
        """Joins all of `atoms` into one unit."""
        unique = np.unique(atoms)
        self.join(unique[:-1], unique[1:])

    def fix(self, atoms: Atoms, reason: str) -> None:
        """None of `atoms` may be removed; `reason` is for people."""
        for atom in np.unique(atoms).tolist():
            if self.root(atom) != FIXED:
                self._reasons.setdefault(atom, reason)
        self.join(np.unique(atoms), np.full(len(np.unique(atoms)), FIXED))

    def explain(self, atoms: Atoms, reason: str) -> None:
        """Why those of `atoms` stay that do, unless a reason has been given for one of them."""
        fixed = atoms[(self.roots(atoms) == FIXED) & (atoms != FIXED)]
        if self.reason(fixed) is None:
            self._reasons.update(dict.fromkeys(fixed.tolist(), reason))

    def reason(self, atoms: Atoms) -> str | None:
        """Why some of `atoms` were fixed; None if they were not, or only because they belong to others that were."""
        return next((self._reasons[atom] for atom in atoms.reshape(-1).tolist() if atom in self._reasons), None)

    def causes(self) -> dict[int, int]:
        """For each atom that is joined with one of those that a reason was given for, the nearest of them."""
        neighbours: dict[int, list[int]] = {}
        for one, other in self._joined:
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
        found = {atom: atom for atom in self._reasons}
        queue = list(found)
        for atom in queue:
            more = [item for item in neighbours.get(atom, ()) if item not in found]
            found.update((item, found[atom]) for item in more)
            queue += dict.fromkeys(more)
        return found

    def compress(self, atoms: Atoms) -> Lanes | None:
        """Lanes of a value whose elements belong to `atoms` [of the value's shape]; None if nothing can go.

        Where atoms differ along several axes, the longest of them (of equals the last) keeps its lanes, and what meets
        in one of its indices is joined: that is how the channels of a shuffle's groups go together.
        """
        roots = self.roots(atoms)
        varying = [axis for axis in range(atoms.ndim) if (roots != roots.take([0], axis)).any()]
        if not varying:
            self.fix(np.unique(roots), ONLY_CHANNEL)
            return None
        axis = max(varying, key=lambda item: (atoms.shape[item], item))
        if len(varying) > 1:
            for row in np.moveaxis(roots, axis, 0).reshape(atoms.shape[axis], -1):
                self.join_all(row)
        rows = np.moveaxis(atoms, axis, 0).reshape(atoms.shape[axis], -1)
        made = (rows != FIXED).argmax(1)  # an atom by which a reason can be found, where there is one
        return Lanes(axis, rows[np.arange(len(rows)), made])
