"""Resolves the operations of a graph by name, and refuses those that a graph from a file must not reach."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from types import MappingProxyType

import torch

from storage.errors import FixInputError

# Arithmetic on shapes (x.size(0) * 4) and element access (chunk, split) are Python operators in a trace.
PYTHON_OPERATIONS: MappingProxyType[str, Callable[..., object]] = MappingProxyType(
    {
        f"operator.{function.__name__}": function
        for function in (
            operator.add,
            operator.sub,
            operator.mul,
            operator.floordiv,
            operator.truediv,
            operator.mod,
            operator.neg,
            operator.getitem,
        )
    }
)

# Operations that are free of side effects by their schema and read files all the same.
FORBIDDEN = frozenset({"from_file"})
# Names that begin with an underscore are torch's internals, some of which trust their arguments; these are what traces
# of ordinary models hold.
INTERNALS = frozenset(
    {
        "_native_batch_norm_legit_no_training",
        "_native_batch_norm_legit",
        "_unsafe_view",
        "_softmax",
        "_log_softmax",
        "_to_copy",
        "_adaptive_avg_pool2d",
        "_convolution",
        "_weight_norm",
        "_weight_norm_interface",
        "_scaled_dot_product_flash_attention_for_cpu",
        "_transformer_encoder_layer_fwd",
        "_native_multi_head_attention",
        "_prelu_kernel",
        "_upsample_bilinear2d_aa",
        "_upsample_bicubic2d_aa",
    }
)


@cache
def resolve(name: str) -> Callable[..., object]:
    """The function called `name`: a pure ATen overload or a Python operator.

    Raises FixInputError for everything else, so that a graph from a file can compute and do nothing more.
    """
    if name in PYTHON_OPERATIONS:
        return PYTHON_OPERATIONS[name]
    namespace, _, rest = name.partition(".")
    packet_name, _, overload_name = rest.partition(".")
    named = packet_name.isidentifier() and overload_name.isidentifier()
    internal = packet_name.startswith("_") and packet_name not in INTERNALS
    if namespace == "aten" and named and not internal and packet_name not in FORBIDDEN:
        packet = getattr(torch.ops.aten, packet_name, None)
        overload = getattr(packet, overload_name, None) if packet is not None else None
        if isinstance(overload, torch._ops.OpOverload) and not overload._schema.is_mutable:
            return overload
    raise FixInputError(
        f"operation {name!r} is not one that a graph may hold: export the model again with this version"
    )
