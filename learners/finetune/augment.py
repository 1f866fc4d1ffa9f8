"""Random changes of training images that leave their class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]  # [n, channels, height, width]

PAD_SHARE = 8  # of the height and width: 4 pixels of 32, as for CIFAR (He et al. 2016, 1512.03385, section 4.2)


def unchanged(images: Images, generator: np.random.Generator) -> Images:  # noqa: ARG001  (as the others have it)
    """The images as they are."""
    return images


def flipped(images: Images, generator: np.random.Generator) -> Images:
    """Each image mirrored left to right, or not."""
    mirrored = generator.random(len(images)) < 0.5
    return np.where(mirrored.reshape(-1, 1, 1, 1), images[..., ::-1], images)


def cropped(images: Images, generator: np.random.Generator) -> Images:
    """Each image moved by up to an eighth of its size either way, what is then free filled with zeros."""
    count, _, height, width = images.shape
    up, left = max(1, height // PAD_SHARE), max(1, width // PAD_SHARE)
    padded = np.pad(images, ((0, 0), (0, 0), (up, up), (left, left)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    rows = generator.integers(0, 2 * up + 1, count)
    columns = generator.integers(0, 2 * left + 1, count)
    return np.ascontiguousarray(windows[np.arange(count), :, rows, columns])


def cropped_and_flipped(images: Images, generator: np.random.Generator) -> Images:
    """Both."""
    return flipped(cropped(images, generator), generator)


AUGMENTATIONS: Mapping[str, Callable[[Images, np.random.Generator], Images]] = MappingProxyType(
    {"none": unchanged, "flip": flipped, "crop": cropped, "crop+flip": cropped_and_flipped}
)
