"""Whether bfloat16 does in place of float32."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from learners.graph.run import Program
from objectives.hardware import CPUINFO, parse_cpuinfo

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # without one of them bfloat16 is slower than float32
BF16_LEAST_AGREEMENT = 0.98  # share of images on which the dense model's class stays


def bf16_is_fast(device: torch.device) -> bool:
    """Whether a device computes faster in bfloat16 than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return CPUINFO.exists() and bool(BF16_FLAGS & parse_cpuinfo(CPUINFO.read_text()).flags)


def bf16_is_exact(program: Program, tensors: Mapping[str, torch.Tensor], images: torch.Tensor) -> bool:
    """Whether autocast to bfloat16 pays on the device of `images` [n, *input] and leaves the classes of a classifier.
    Of other models nobody knows how exact their outputs have to be."""
    if not bf16_is_fast(images.device):
        return False
    with torch.no_grad():
        exact = program(tensors, images)
        with torch.autocast(images.device.type, torch.bfloat16):
            rough = program(tensors, images).float()
    if exact.dim() != 2 or not bool(torch.isfinite(rough).all()):
        return False
    return float((rough.argmax(1) == exact.argmax(1)).float().mean()) >= BF16_LEAST_AGREEMENT
