"""Data of kind "digits"."""

from __future__ import annotations

import numpy as np

from objectives.workload.digits import digits_part, open_digits


def test_parts_are_stratified_and_complete() -> None:
    parts = {name: digits_part(name) for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == [1078, 360, 359]
    for part in parts.values():
        assert part.labels is not None
        counts = np.bincount(part.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.03 * len(part)
    images = {part.images[index].tobytes() for part in parts.values() for index in range(len(part))}
    assert len(images) == 1797  # no image is in two parts, and none is missing


def test_pixels_are_in_the_unit_interval_before_mean_and_std() -> None:
    plain, scaled = digits_part("val"), digits_part("val", (0.5,), (0.25,))
    assert plain.images.dtype == np.float32
    assert plain.images.shape[1:] == (1, 8, 8)
    assert (plain.images.min(), plain.images.max()) == (0, 1)
    np.testing.assert_allclose(scaled.images, (plain.images - 0.5) / 0.25, atol=1e-6)


def test_splits_come_with_class_names() -> None:
    splits = open_digits((0.0,), (1.0,))
    assert splits.classes == tuple("0123456789")
    assert np.array_equal(splits.val.batch([3]), digits_part("val").images[[3]])
    assert splits.val.digest([1, 2]) != splits.val.digest([2, 1])
