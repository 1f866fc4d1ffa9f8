"""Subsets: stratified, disjoint, reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objectives.workload.subsets import choose, divide, stratified_order

label_lists = st.lists(st.integers(0, 5), min_size=1, max_size=300)
seeds = st.integers(0, 2**63 - 1)


@given(label_lists, seeds, st.booleans())
def test_an_order_is_a_permutation(labels: list[int], seed: int, labelled: bool) -> None:
    order = stratified_order(len(labels), np.array(labels) if labelled else None, seed)
    assert sorted(order) == list(range(len(labels)))
    assert order.dtype == np.int64


@given(label_lists, seeds, st.data())
def test_every_slice_is_stratified(labels: list[int], seed: int, data: st.DataObject) -> None:
    array = np.array(labels, dtype=np.int64)
    order = stratified_order(len(array), array, seed)
    start = data.draw(st.integers(0, len(array)))
    stop = data.draw(st.integers(start, len(array)))
    part = array[order[start:stop]]
    classes = len(np.unique(array))
    for label in np.unique(array):
        share = np.mean(array == label)
        # Each end is off by half an image of the class, and by its share of half an image of every class.
        assert abs(np.sum(part == label) - share * len(part)) <= 1 + share * classes


def test_equal_classes_come_in_rounds() -> None:
    labels = np.repeat(np.arange(10), 500)  # sorted by class, as folders are
    chosen = choose(5000, labels, 256, seed=0)
    assert set(np.bincount(labels[chosen])) == {25, 26}
    assert not np.array_equal(np.sort(chosen), chosen)


@given(st.integers(0, 300), st.integers(1, 400), st.integers(0, 200), seeds, st.booleans())
def test_parts_are_disjoint_and_complete(total: int, quick: int, rescore: int, seed: int, labelled: bool) -> None:
    labels = np.arange(total) % 3 if labelled else None
    found = divide(total, labels, quick, rescore, seed)
    assert len(found.quick) == min(quick, total // 2)
    left = total - len(found.quick)
    assert len(found.rescoring) in (0, min(rescore, left // 4))  # totals are below those that keep 1,000
    assert not 0 < len(found.rescoring) < len(found.quick)
    parts = [*found.quick, *found.rescoring, *found.confirmation]
    assert sorted(parts) == list(range(total))


@pytest.mark.parametrize(
    ("total", "rescore", "expected"),
    [(5000, 768, 768), (2000, 768, 436), (1560, 768, 304), (1500, 768, 0), (1200, 768, 0), (5000, 0, 0)],
)
def test_the_second_score_is_of_more_images_than_the_first_or_left_out(total: int, rescore: int, expected: int) -> None:
    found = divide(total, None, 256, rescore, seed=0)
    assert (len(found.quick), len(found.rescoring)) == (256, expected)


def test_without_a_second_score_the_parts_are_those_of_earlier_versions() -> None:
    """Studies of versions that had none go on with the same images."""
    labels = np.arange(400) % 7
    found, order = divide(400, labels, 100, 0, seed=3), stratified_order(400, labels, 3)
    assert np.array_equal(found.quick, order[:100])
    assert np.array_equal(found.confirmation, order[100:])


def test_orders_follow_seed_and_stream_and_nothing_else() -> None:
    labels = np.arange(200) % 7
    np.random.seed(3)
    first = stratified_order(200, labels, 5)
    np.random.seed(4)
    assert np.array_equal(stratified_order(200, labels, 5), first)
    assert not np.array_equal(stratified_order(200, labels, 6), first)
    assert not np.array_equal(stratified_order(200, labels, 5, stream=1), first)


def test_orders_are_the_same_on_every_machine() -> None:
    """Stored studies resume on them: these values must never change."""
    assert stratified_order(8, None, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert stratified_order(8, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0).tolist() == [3, 6, 2, 7, 1, 4, 0, 5]


def test_a_shuffle_without_labels_moves_images() -> None:
    chosen = choose(1000, None, 100, seed=1)
    assert len(set(chosen)) == 100
    assert 300 < np.mean(chosen) < 700


def test_wrong_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="3 labels for 4 images"):
        stratified_order(4, np.zeros(3, dtype=np.int64), 0)


def test_no_more_than_there_are() -> None:
    assert len(choose(5, None, 10, seed=0)) == 5
