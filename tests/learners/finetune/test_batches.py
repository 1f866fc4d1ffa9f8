"""The training images of an epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from learners.finetune.batches import Batches
from learners.finetune.options import TrainingOptions
from objectives.workload.splits import ArraySplit
from tests.learners.finetune.material import OPTIONS

IMAGES = 50


def numbered(labelled: bool = True) -> ArraySplit:
    """Images that hold their number, and labels that are twice that."""
    numbers = np.arange(IMAGES)
    images = np.broadcast_to(numbers.reshape(-1, 1, 1, 1).astype(np.float32) + 1, (IMAGES, 1, 4, 4)).copy()
    return ArraySplit(images, 2 * numbers if labelled else None)


def epoch(options: TrainingOptions, number: int = 0, labelled: bool = True) -> list[torch.Tensor]:
    """The images of each batch, whose labels are checked."""
    found = []
    for batch in Batches(numbered(labelled), options).epoch(number):
        assert batch.images.dtype == torch.float32
        if labelled and options.augment == "none":
            assert batch.labels is not None
            assert batch.labels.dtype == torch.int64
            assert batch.labels.tolist() == [2 * (number - 1) for number in shown(batch.images)]
        assert (batch.labels is not None) == labelled
        found.append(batch.images)
    return found


def shown(images: torch.Tensor) -> list[int]:
    """The numbers of images, from 1."""
    return [int(value) for value in images.amax((1, 2, 3))]


def order(batches: list[torch.Tensor]) -> list[int]:
    return [number for batch in batches for number in shown(batch)]


@pytest.mark.parametrize("labelled", [True, False])
def test_the_seed_and_the_epoch_decide_the_order(labelled: bool) -> None:
    options = replace(OPTIONS, batch=8)
    first = order(epoch(options, 0, labelled))
    assert first == order(epoch(options, 0, labelled))
    others = [order(epoch(options, 1, labelled)), order(epoch(replace(options, seed=4), 0, labelled))]
    assert all(first != other for other in others)
    assert first != sorted(first)


def test_an_epoch_has_every_image_at_most_once_and_whole_batches() -> None:
    options = replace(OPTIONS, batch=8)
    batches = epoch(options)
    assert [len(item) for item in batches] == [8] * 6
    assert Batches(numbered(), options).steps == len(batches)
    assert len(set(order(batches))) == 48
    every = {number for index in range(8) for number in order(epoch(options, index))}
    assert every == set(range(1, IMAGES + 1))  # those that one leaves out come in others


def test_images_are_drawn_anew_for_each_epoch_up_to_the_number_asked_for() -> None:
    options = replace(OPTIONS, batch=8, images=20)
    first, second = (order(epoch(options, number)) for number in (0, 1))
    assert len(first) == len(set(first)) == 16
    assert set(first) != set(second)
    assert Batches(numbered(), options).images == 20
    assert Batches(numbered(), replace(options, images=1000)).images == IMAGES


@pytest.mark.parametrize(("images", "size"), [(None, IMAGES), (20, 20)])
def test_a_batch_that_is_larger_than_all_there_is_holds_that(images: int | None, size: int) -> None:
    options = replace(OPTIONS, batch=64, images=images)
    assert [len(item) for item in epoch(options)] == [size]
    assert Batches(numbered(), options).steps == 1


def test_the_changes_of_images_follow_the_seed_and_the_epoch() -> None:
    options = replace(OPTIONS, batch=8, augment="crop")
    first, again, plain = epoch(options), epoch(options), epoch(replace(options, augment="none"))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert order(first) == order(plain)
    assert not all(torch.equal(one, other) for one, other in zip(first, plain, strict=True))
    zeros = [[int((image == 0).sum()) for batch in epoch(options, number) for image in batch] for number in (0, 1)]
    assert zeros[0] != zeros[1]
