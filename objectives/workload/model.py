"""The dense model: the user's factory with the trained weights in it, checked once."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from objectives.workload.factory import UserCallable, load_callable
from objectives.workload.seeding import seeded
from objectives.workload.weights import load_weights
from storage.errors import FixInputError
from storage.records.config import ModelConfig

CHECK_BATCH = 2  # one sample would hide a model that loses its batch axis
_COUNTER = "num_batches_tracked"  # batch-norm's counter: inference ignores it, and older files lack it


def build_model(config: ModelConfig, seed: int) -> nn.Module:
    """The model in eval mode: float32, on the CPU, without gradients, its output checked on zeros.

    FixInputError, one line, if the factory or the forward pass raises (user's line), if it makes no
    `torch.nn.Module`, if the weights do not fit (first missing and first unexpected key), or if the output is
    not one finite floating tensor [n, ...]. `seed` drives what the factory draws at random. ValueError for a model
    that is given as a graph.
    """
    if config.factory is None or config.weights is None:
        raise ValueError(f"{config.graph} is a graph, not built from a factory")
    factory = load_callable(config.factory)
    with seeded(seed):
        model = factory()
    if not isinstance(model, nn.Module):
        raise FixInputError(
            f"{factory.label} returned a {type(model).__name__}; return a torch.nn.Module (the model itself)"
        )
    model = model.to(device="cpu", dtype=torch.float32).eval()
    _fit(model, load_weights(Path(config.weights)), config.weights, factory.label)
    model.requires_grad_(False)
    _check_forward(model, config, factory)
    return model


def _fit(model: nn.Module, weights: dict[str, torch.Tensor], file: str, label: str) -> None:
    expected = model.state_dict()
    # Tied weights are stored once: a key is not missing where another key of the file fills the same memory.
    filled = {_memory(expected[key]) for key in weights.keys() & expected.keys()} - {None}
    missing = [
        key
        for key, value in expected.items()
        if key not in weights and not key.endswith(_COUNTER) and _memory(value) not in filled
    ]
    unexpected = [key for key in weights if key not in expected]
    if missing or unexpected:
        parts = [
            f"{len(keys)} {kind} (first: {keys[0]})"
            for keys, kind in ((missing, "missing"), (unexpected, "unexpected"))
            if keys
        ]
        raise FixInputError(
            f"{file}: does not fit {label}: {' and '.join(parts)} of {len(expected)} keys; "
            "use the weights of this model"
        )
    for key, value in weights.items():
        wanted = expected[key]
        if not is_lazy(wanted) and wanted.shape != value.shape:
            raise FixInputError(
                f"{file}: does not fit {label}: {key} has shape {list(value.shape)}, the model wants "
                f"{list(wanted.shape)}; use the weights of this model"
            )
    try:
        model.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise FixInputError(f"{file}: does not fit {label}: {' '.join(str(error).split())}") from error


def _memory(tensor: torch.Tensor) -> tuple[int, tuple[int, ...]] | None:
    if is_lazy(tensor) or tensor.numel() == 0:
        return None
    return tensor.data_ptr(), tuple(tensor.shape)


def _check_forward(model: nn.Module, config: ModelConfig, factory: UserCallable) -> None:
    shape = [CHECK_BATCH, *config.input]
    with factory.running(f"cannot run on an input of shape {shape}:"), torch.no_grad():
        output = model(torch.zeros(shape))
    check_output(output, factory.label)


def check_output(output: object, label: str) -> None:
    """FixInputError unless `output`, of CHECK_BATCH samples of zeros, is one finite floating tensor [n, ...]."""
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        kind = f"{output.dtype} tensor" if isinstance(output, torch.Tensor) else type(output).__name__
        raise FixInputError(f"{label} outputs a {kind}; its forward must return one floating tensor")
    if output.ndim < 2 or output.shape[0] != CHECK_BATCH:
        raise FixInputError(
            f"{label} outputs shape {list(output.shape)} for {CHECK_BATCH} samples; "
            f"it must be [{CHECK_BATCH}, ...], one row a sample"
        )
    if not bool(torch.isfinite(output).all()):
        raise FixInputError(f"{label} outputs NaN or infinity on an input of zeros; check the weights")
