"""Candidates: value semantics and content keys."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.records.candidate import Candidate, Proposal, Trial

candidates = st.builds(
    Candidate,
    levels=st.lists(st.integers(0, 999), max_size=6).map(tuple),
    weights=st.text("0123456789abcdef", min_size=1, max_size=8),
)


@given(candidates, candidates)
def test_keys_are_equal_exactly_when_candidates_are(first: Candidate, second: Candidate) -> None:
    assert (first.key == second.key) == (first == second)
    assert len(first.key) == 32
    if first == second:
        assert hash(first) == hash(second)


def test_levels_do_not_run_together() -> None:
    keys = {Candidate(levels, "w").key for levels in ((1, 23), (12, 3), (123,), (1, 2, 3), (3, 2, 1))}
    assert len(keys) == 5


def test_keys_are_the_same_in_every_process() -> None:
    """Artifacts are addressed by it: a change of this value orphans every stored one."""
    assert Candidate((0, 1, 2), "abc").key == "50041a6b2020bfff0d8ce3142ed35794"


def test_records_are_frozen() -> None:
    candidate = Candidate((1,), "w")
    for record, field in (
        (candidate, "weights"),
        (Proposal(candidate, "a"), "origin"),
        (Trial(1, candidate, "a", None), "number"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, "x")
