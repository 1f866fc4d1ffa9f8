"""Changes of training images."""

from __future__ import annotations

import numpy as np
import pytest

from learners.finetune.augment import AUGMENTATIONS, PAD_SHARE, Images, cropped, flipped

SHAPES = ((40, 3, 16, 24), (40, 1, 7, 5), (40, 2, 1, 1))  # colours, one channel and odd sizes, the smallest


def numbered(shape: tuple[int, ...]) -> Images:
    """Images in which no two values are alike, and none is zero."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def moved(image: Images, down: int, right: int) -> Images:
    """An image [channels, height, width] moved by hand, zeros where nothing was."""
    _, height, width = image.shape
    found = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                found[:, row, column] = image[:, row - down, column - right]
    return found


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_seed_changes_images_in_the_same_way(name: str, shape: tuple[int, ...]) -> None:
    images = numbered(shape)
    before = images.copy()
    first, again = (AUGMENTATIONS[name](images, generator()) for _ in range(2))
    assert first.shape == images.shape
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(images, before)
    other = AUGMENTATIONS[name](images, generator(1))
    assert np.array_equal(first, other) == (name == "none" or (name == "flip" and shape[-1] == 1))


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_about_half_of_the_images_are_mirrored_each_as_a_whole(shape: tuple[int, ...]) -> None:
    images = numbered(shape)
    found = flipped(images, generator())
    mirrored = [bool((item == image[..., ::-1]).all()) for item, image in zip(found, images, strict=True)]
    kept = [bool((item == image).all()) for item, image in zip(found, images, strict=True)]
    assert [not item for item in kept] == mirrored
    assert 10 < sum(mirrored) < 30


@pytest.mark.parametrize("shape", SHAPES)
def test_crops_are_moves_by_up_to_an_eighth_every_one_of_which_comes_up(shape: tuple[int, ...]) -> None:
    images = np.concatenate([numbered(shape)] * 20)
    found = cropped(images, generator())
    most = [max(1, size // PAD_SHARE) for size in shape[2:]]
    moves = [(down, right) for down in range(-most[0], most[0] + 1) for right in range(-most[1], most[1] + 1)]
    wanted = {move: [moved(image, *move) for image in images[: shape[0]]] for move in moves}
    seen = set()
    for index, item in enumerate(found):
        fits = [move for move in moves if np.array_equal(item, wanted[move][index % shape[0]])]
        assert fits, f"image {index} is no moved one"
        seen.update(fits)
    assert seen == set(moves)


def test_crops_and_flips_go_together() -> None:
    images = numbered(SHAPES[0])
    both = AUGMENTATIONS["crop+flip"](images, generator())
    drawn = generator()
    np.testing.assert_array_equal(both, flipped(cropped(images, drawn), drawn))
    assert not np.array_equal(both, cropped(images, generator()))
