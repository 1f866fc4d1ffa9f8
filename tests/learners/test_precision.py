"""Whether bfloat16 does in place of float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import learners.precision
from learners.graph.run import Program
from learners.precision import bf16_is_exact, bf16_is_fast
from tests.built import Built

CPU = torch.device("cpu")


@pytest.mark.parametrize(("flags", "fast"), [("avx2 avx512_bf16", True), ("amx_bf16", True), ("avx2 avx512f", False)])
def test_processors_are_fast_by_their_instructions(
    flags: str, fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(learners.precision, "CPUINFO", path)
    assert bf16_is_fast(CPU) == fast
    monkeypatch.setattr(learners.precision, "CPUINFO", tmp_path / "absent")
    assert not bf16_is_fast(CPU)


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners.precision, "bf16_is_fast", lambda device: True)


def judged(network: Built, images: torch.Tensor) -> bool:
    analysis = network.library.analysis
    return bf16_is_exact(Program(analysis.graph), analysis.tensors, images)


@pytest.mark.usefixtures("fast")
def test_it_is_exact_where_the_classes_stay(built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch) -> None:
    network = built("plain")
    images = torch.from_numpy(network.images)
    monkeypatch.setattr(learners.precision, "BF16_LEAST_AGREEMENT", 0.9)  # three of the 32 images
    assert judged(network, images)
    monkeypatch.setattr(learners.precision, "BF16_LEAST_AGREEMENT", 1.01)
    assert not judged(network, images)


@pytest.mark.usefixtures("fast")
def test_it_is_not_where_numbers_overflow(built: Callable[[str], Built]) -> None:
    network = built("plain")
    assert not judged(network, torch.full((4, 3, 16, 16), 3e38))


@pytest.mark.usefixtures("fast")
def test_nobody_knows_how_exact_other_models_have_to_be(built: Callable[[str], Built]) -> None:
    """Those whose output is no classes."""
    network = built("plain")
    analysis = network.library.analysis
    graph = analysis.graph
    inner = next(node.name for node in graph.nodes if len(analysis.shapes[node.name]) == 4)
    program = Program(type(graph)(graph.input, graph.nodes, inner))
    assert not bf16_is_exact(program, analysis.tensors, torch.from_numpy(network.images))


def test_it_is_not_asked_for_where_it_is_slow(built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners.precision, "bf16_is_fast", lambda device: False)
    network = built("plain")
    assert not judged(network, torch.from_numpy(network.images))
