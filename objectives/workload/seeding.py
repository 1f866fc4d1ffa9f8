"""User code that draws random numbers does so from the study's seed, and disturbs nobody else's."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

_NUMPY_SEEDS = 2**32  # numpy's legacy generator takes 32-bit seeds


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of random, numpy and torch (CPU) at `seed`, restored afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed % _NUMPY_SEEDS)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
