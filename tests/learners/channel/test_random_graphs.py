"""Random networks, random cuts and random candidates.

The examples are the same in every run. SLIMFRONT_EXAMPLES, a factor, makes more of them, new each time.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.records.space import FLOAT_BITS
from tests.learners.agreement import check_files, difference, random_levels, with_bits
from tests.learners.channel.random_graphs import SHAPE, Recipe, build_random, recipes
from tests.learners.channel.traced import trace_channels
from tests.learners.channel.whole import build_whole

FACTOR = int(os.environ.get("SLIMFRONT_EXAMPLES", "0"))
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large)


def profile(examples: int) -> settings:
    return settings(
        max_examples=examples * max(1, FACTOR),
        derandomize=FACTOR == 0,
        deadline=None,
        database=None,
        suppress_health_check=QUIET,
    )


@given(recipe=recipes(5), seed=st.integers(0, 999), share=st.sampled_from((0.0, 0.3, 0.6, 0.9)))
@profile(25)
def test_a_cut_graph_computes_what_ignoring_the_channels_computes(recipe: Recipe, seed: int, share: float) -> None:
    network = trace_channels(build_random(recipe), SHAPE)
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        torch.testing.assert_close(network.run(x), build_random(recipe)(x), rtol=1e-4, atol=1e-4)
    kept = network.random_kept(np.random.default_rng(seed), share)
    tensors = network.check_cut(kept, x)
    assert all(0 not in tensor.shape for tensor in tensors.values())


@given(recipe=recipes(4), seed=st.integers(0, 999))
@profile(8)
def test_all_files_of_random_candidates_agree(recipe: Recipe, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        network = build_whole(Path(folder), build_random(recipe), SHAPE)
        space, generator = network.library.space, np.random.default_rng(seed)
        assert difference(network.stitched(space.uniform_bits(FLOAT_BITS)), network.dense()) < 1e-5
        check_files(network, with_bits(space, random_levels(space, generator), FLOAT_BITS))
        check_files(network, with_bits(space, random_levels(space, generator), 8))
        check_files(network, random_levels(space, generator))
