"""Outputs of an exported model on many images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from objectives.runtimes.base import Session
from storage.errors import GiveUpError

BATCH = 64  # images a call: enough to amortise it, small enough for the caches


def evaluate(session: Session, images: npt.NDArray[np.float32], batch: int = BATCH) -> npt.NDArray[np.float32]:
    """Run `images` through `session`, `batch` at a time; the last batch may be smaller.

    Args:
        session: what `Runtime.session` returned.
        images: [n, ...], normalised, n >= 1.
        batch: images a call, >= 1.

    Returns:
        float32[n, k]: the outputs in the order of the images, all finite.

    Raises:
        GiveUpError: the model fails on a batch, gives another number of rows than it was fed, or gives NaN or
            infinity; the first such image is named.
        ValueError: no images, or batch < 1.
    """
    if len(images) == 0 or batch < 1:
        raise ValueError(f"{len(images)} images in batches of {batch} cannot be evaluated")
    outputs: list[npt.NDArray[np.float32]] = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        output = session(part)
        if output.ndim == 0 or len(output) != len(part):
            raise GiveUpError(
                f"the model gives outputs of shape {output.shape} for {len(part)} images; "
                "its first output needs the images along its first axis"
            )
        finite = np.isfinite(output.reshape(len(part), -1)).all(axis=1)
        if not finite.all():
            raise GiveUpError(
                f"the model's output for image {start + int(finite.argmin())} is NaN or infinite; "
                "check the model's weights and the normalisation of the images"
            )
        outputs.append(output)
    return np.concatenate(outputs)
