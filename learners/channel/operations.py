"""How the operations of a traced graph treat channels, by the name of their ATen operator."""

from __future__ import annotations

CONVOLUTION = "conv2d"
LINEAR = "linear"
NORM = "_native_batch_norm_legit_no_training"
PRELU = frozenset({"prelu", "_prelu_kernel"})

# One output element from the element at the same place.
ELEMENTWISE = frozenset(
    {
        "abs", "add", "clamp", "clamp_max", "clamp_min", "clone", "contiguous", "div", "elu", "erf", "exp", "gelu",
        "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "log", "maximum", "minimum", "mish", "mul", "neg", "pow",
        "relu", "relu6", "rsqrt", "rsub", "selu", "sigmoid", "silu", "softplus", "sqrt", "square", "sub", "tanh",
        "_to_copy", "to",
    }
)  # fmt: skip

# Every channel by itself: channels are axis 1 of an input [n, channels, ...], and stay there.
SPATIAL = frozenset(
    {
        "adaptive_avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "constant_pad_nd",
        "instance_norm", "max_pool2d", "max_pool2d_with_indices", "pad", "upsample_bicubic2d", "upsample_bilinear2d",
        "upsample_nearest2d",
    }
)  # fmt: skip
INDEXED = frozenset({"adaptive_max_pool2d", "max_pool2d_with_indices"})  # give the places of the maxima, too
PADS = frozenset({"pad", "constant_pad_nd"})

# Reductions over the axes that their second argument names.
REDUCING = frozenset({"amax", "amin", "mean", "sum"})

# Only move elements, so that they can be run on labels as on values. Those of SIZED name sizes in their arguments,
# which change with the channels; `learners.channel.surgery` rewrites them.
RESHAPE, EXPAND, SPLIT, SPLIT_SIZES, CHUNK, SLICE = "reshape", "expand", "split", "split_with_sizes", "chunk", "slice"
SIZED = frozenset({RESHAPE, EXPAND, SPLIT, SPLIT_SIZES, CHUNK, SLICE})
MOVING = SIZED | {"cat", "flatten", "permute", "squeeze", "stack", "t", "transpose", "unsqueeze"}
# Give several tensors, which no observer of single ones sees.
SEVERAL = INDEXED | {SPLIT, SPLIT_SIZES, CHUNK, NORM}


def operator_name(op: str) -> str:
    """ "conv2d" of "aten.conv2d.default"."""
    return op.split(".")[1]
