"""Hypothesis strategies for packed models."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.slim import (
    BYTE_BITS,
    BYTE_ZERO,
    DTYPES,
    USES,
    Activation,
    Array,
    InputContract,
    PackedLayer,
    PackedModel,
    PackedTensor,
)

BITS = (1, 2, 3, 4, 5, 6, 8)  # twice a 7-bit code is no int8
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
halves = st.floats(width=16, allow_nan=False, allow_infinity=False)
exponents = st.integers(-20, 20)
shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=5)


@st.composite
def layers(draw: st.DrawFn, activations: int) -> PackedLayer:
    """A layer of any legal width."""
    bits = draw(st.sampled_from(BITS))
    shape = draw(shapes)
    rows = shape[0]
    largest = BYTE_ZERO if bits == BYTE_BITS else 2**bits - 1
    zeros = st.just(BYTE_ZERO) if bits == BYTE_BITS else st.integers(0, min(2 * largest, 255))
    return PackedLayer(
        name=draw(texts),
        form=draw(st.sampled_from(["conv", "gemm", "matmul"])),
        bits=bits,
        codes=draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, largest))),
        scale=draw(hnp.arrays(np.float16, rows, elements=halves)),
        zero=draw(hnp.arrays(np.uint8, rows, elements=zeros)),
        bias=draw(st.none() | hnp.arrays(np.float16, rows, elements=halves)),
        activation=draw(st.integers(0, activations - 1)),
        exponent=draw(exponents),
        bias_exponent=draw(exponents),
    )


@st.composite
def tensors(draw: st.DrawFn) -> PackedTensor:
    """A tensor of any type, also empty or a scalar."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    array: Array = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
    return PackedTensor(draw(texts), array, draw(st.sampled_from(USES)))


@st.composite
def models(draw: st.DrawFn) -> PackedModel:
    """A packed model; neither graph nor template makes sense."""
    grids = st.builds(Activation, scale=st.floats(width=32, allow_nan=False), zero=st.integers(0, 255))
    activations = draw(st.lists(grids, min_size=1, max_size=3))
    numbers = st.lists(st.floats(allow_nan=False), max_size=3).map(tuple)
    return PackedModel(
        contract=InputContract(
            shape=draw(st.lists(st.integers(1, 300), min_size=1, max_size=4).map(tuple)),
            mean=draw(numbers),
            std=draw(numbers),
            classes=draw(st.lists(texts, max_size=3).map(tuple)),
        ),
        graph=draw(texts),
        template=draw(st.binary(max_size=40)),
        activations=tuple(activations),
        layers=tuple(draw(st.lists(layers(len(activations)), max_size=3))),
        tensors=tuple(draw(st.lists(tensors(), max_size=3))),
    )
