"""Atoms, units and lanes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from learners.channel.lanes import FIXED, Lanes, Partition


def test_fresh_atoms_are_units_of_their_own() -> None:
    partition = Partition()
    first, second = partition.fresh(3), partition.fresh(2)
    assert first.tolist() == [1, 2, 3]
    assert second.tolist() == [4, 5]
    assert partition.roots(np.concatenate([first, second])).tolist() == [1, 2, 3, 4, 5]


@given(pairs=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=20))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_units_are_the_connected_parts_named_by_their_smallest_atom(pairs: list[tuple[int, int]]) -> None:
    partition = Partition()
    atoms = partition.fresh(12)
    parts = {atom: {atom} for atom in range(1, 13)}
    for one, other in pairs:
        partition.join(np.array([one]), np.array([other]))
        merged = parts[one] | parts[other]
        for atom in merged:
            parts[atom] = merged
    assert partition.roots(atoms).tolist() == [min(parts[atom]) for atom in range(1, 13)]


def test_fixing_one_atom_fixes_its_unit_and_only_names_it_once() -> None:
    partition = Partition()
    atoms = partition.fresh(4)
    partition.join(atoms[:1], atoms[2:3])
    partition.fix(atoms[2:3], "first")
    partition.fix(atoms[:1], "second")
    assert partition.roots(atoms).tolist() == [FIXED, 2, FIXED, 4]
    assert partition.reason(atoms[2:]) == "first"
    assert partition.reason(atoms[:1]) is None
    assert partition.reason(atoms[1:2]) is None


def test_lanes_spread_over_a_value() -> None:
    lanes = Lanes(1, np.array([5, 6, 7]))
    found = lanes.expand((2, 3, 2))
    assert found.shape == (2, 3, 2)
    assert (found == np.array([5, 6, 7])[None, :, None]).all()


def test_a_value_that_varies_along_one_axis_keeps_its_lanes() -> None:
    partition = Partition()
    atoms = partition.fresh(4)
    found = partition.compress(np.broadcast_to(atoms[:, None], (2, 4, 3)))
    assert found is not None
    assert found.axis == 1
    assert found.atoms.tolist() == atoms.tolist()


def test_what_meets_in_an_index_of_the_longer_axis_is_joined() -> None:
    partition = Partition()
    atoms = partition.fresh(6)
    found = partition.compress(atoms.reshape(1, 2, 3))  # two groups of three
    assert found is not None
    assert (found.axis, found.atoms.tolist()) == (2, [1, 2, 3])
    assert partition.roots(atoms).tolist() == [1, 2, 3, 1, 2, 3]


def test_a_value_of_one_channel_must_stay() -> None:
    partition = Partition()
    atoms = partition.fresh(2)
    assert partition.compress(np.full((1, 4), atoms[1])) is None
    assert partition.roots(atoms).tolist() == [1, FIXED]
    assert partition.reason(atoms) == "it is the only channel of a tensor"
