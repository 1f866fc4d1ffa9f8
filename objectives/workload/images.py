"""Data of kind "images": JPEG and PNG files, decoded only when they are used."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from objectives.workload.image_files import LAYOUT, SEARCHED, TEST, ImageFile, list_images
from objectives.workload.splits import Indices, Splits
from storage.errors import FixInputError

FORMATS = ("JPEG", "PNG")
MODES: Mapping[int, str] = {1: "L", 3: "RGB"}  # channels -> Pillow's mode
MAX_PIXEL = 255.0
TEST_LAYOUT = "a certificate needs test/ beside train/ and val/, with one folder a class"
# Pillow's modes of more than 8 bits a channel: it would clip them, not scale them.
_DEEP_MODES = ("I", "F")


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """A split of encoded images. `mean` and `std` are per channel, on pixels in [0, 1]."""

    files: tuple[ImageFile, ...]
    labels: NDArray[np.int64]  # [n]
    shape: tuple[int, int, int]  # channels, height, width
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.files)

    def pixels(self, indices: Indices) -> NDArray[np.uint8]:
        """[len(indices), channels, height, width] as stored, 0 to 255."""
        pixels = np.empty((len(indices), *self.shape), dtype=np.uint8)
        for row, index in enumerate(indices):
            pixels[row] = decode(self.files[index], self.shape)
        return pixels

    def batch(self, indices: Indices) -> NDArray[np.float32]:
        """[len(indices), channels, height, width]: (pixel / 255 - mean) / std."""
        return normalise(self.pixels(indices), MAX_PIXEL, self.mean, self.std)

    def digest(self, indices: Indices) -> bytes:
        """SHA-256 over these files' bytes: the same on machines whose decoders differ in the last bit."""
        digest = hashlib.sha256()
        for index in indices:
            digest.update(hashlib.sha256(self.files[index].read()).digest())
        return digest.digest()


def open_images(path: Path, shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> Splits:
    """The train and val splits of a folder or archive; labels are positions in the sorted class names.

    Nothing of `test/` is read but its class names. FixInputError if a split or class is missing or empty, or
    if the splits have different classes.
    """
    (train, val), classes = _splits(path, shape, mean, std, SEARCHED)
    return Splits(train=train, val=val, classes=classes)


def open_test_images(path: Path, shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]) -> ImageSplit:
    """The test split of a folder or archive, labelled as the others are. Errors as in `open_images`."""
    (test,), _ = _splits(path, shape, mean, std, (TEST,))
    return test


def _splits(
    path: Path, shape: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...], wanted: Sequence[str]
) -> tuple[list[ImageSplit], tuple[str, ...]]:
    """Splits and the names of the classes, which all splits that are there share; of the others nothing is read."""
    listing = list_images(path, wanted)
    for split in dict.fromkeys(("train", *wanted)):
        if not listing.get(split):
            missing = "is empty" if (path / split).is_dir() else "is missing"
            raise FixInputError(f"{path}: {split}/ {missing}; {LAYOUT if split != TEST else TEST_LAYOUT}")
    classes = tuple(listing["train"])
    for split, found in listing.items():
        for first, second, names, others in (
            ("train", split, classes, found),
            (split, "train", found, classes),
        ):
            extra = [name for name in names if name not in others]
            if extra:
                raise FixInputError(f"{path}: {first}/ has the class {extra[0]} and {second}/ has not; {LAYOUT}")
    if len(classes) == 1:
        raise FixInputError(f"{path}: train/ holds one class only, {classes[0]}; {LAYOUT}")
    for split in wanted:
        for name, images in listing[split].items():
            if not images:
                raise FixInputError(f"{path}: {split}/{name}/ holds no JPEG or PNG image; add some or remove the class")
    channels, height, width = shape
    opened = [
        ImageSplit(
            files=tuple(image for name in classes for image in listing[split][name]),
            labels=np.repeat(np.arange(len(classes), dtype=np.int64), [len(listing[split][name]) for name in classes]),
            shape=(channels, height, width),
            mean=mean,
            std=std,
        )
        for split in wanted
    ]
    return opened, classes


def decode(file: ImageFile, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """[channels, height, width]; grey for one channel, RGB for three.

    FixInputError names the file if it is no JPEG or PNG, is broken, has 16-bit pixels, or is of another size
    than `shape`: nothing is resized, as the model was trained on what the user's own pipeline made.
    """
    channels, height, width = shape
    content = file.read()
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size != (width, height):
                raise FixInputError(
                    f"{file.name}: is {image.height} x {image.width} pixels (height x width), [model] input "
                    f"wants {height} x {width}; resize the images or change input"
                )
            if image.mode.startswith(_DEEP_MODES):
                raise FixInputError(f"{file.name}: has more than 8 bits a channel; convert it to 8 bits")
            # A palette with transparency converts cleanly only over RGBA.
            plain = image.convert("RGBA") if image.mode == "P" else image
            pixels = np.asarray(plain.convert(MODES[channels]), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        # Pillow names the object in memory that it could not identify; that helps nobody.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "neither format is recognised" if unknown else " ".join(str(error).split())
        raise FixInputError(f"{file.name}: is not a readable JPEG or PNG image ({reason}); replace it") from error
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def normalise(
    pixels: NDArray[np.uint8] | NDArray[np.float32],
    full: float,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> NDArray[np.float32]:
    """(pixels / full - mean) / std for [n, channels, height, width], mean and std per channel."""
    values = pixels.astype(np.float32)
    values /= np.float32(full)
    values -= np.asarray(mean, dtype=np.float32)[:, None, None]
    values /= np.asarray(std, dtype=np.float32)[:, None, None]
    return values
