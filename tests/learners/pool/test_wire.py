"""Tensors between processes: the same ones, as arrays, and only while a pool runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from learners.pool.ray_pool import RayPool


@dataclass(frozen=True, eq=False)
class Doubles:
    """Doubles tensors in place, which it therefore must own, and says whether it got them as arrays."""

    patience: float = 1.0
    threads: int | None = None

    def open(self) -> Doubles:
        """See `Task.open`."""
        return self

    def run(self, jobs: Sequence[torch.Tensor]) -> Iterator[tuple[torch.Tensor, bool]]:
        """See `Runner.run`."""
        for job in jobs:
            yield job.mul_(2), is_array(job)


def is_array(tensor: torch.Tensor) -> bool:
    """Whether a tensor leaves this process as an array: as a buffer beside the pickle."""
    from ray import cloudpickle

    dumps: Callable[..., bytes] = cloudpickle.dumps
    buffers: list[pickle.PickleBuffer] = []
    dumps(tensor, protocol=5, buffer_callback=buffers.append)
    return bool(buffers)


def test_tensors_are_the_same_on_the_other_side() -> None:
    sent = [
        torch.randn(3, 4, 5, dtype=torch.float64),
        torch.arange(12, dtype=torch.int64).reshape(3, 4).T,
        torch.zeros(0, 3),
        torch.tensor(1.5),
    ]
    with RayPool(1) as pool:
        outcomes = {item.index: item.result for item in pool.run(Doubles(), sent, print)}
        assert is_array(sent[0])
    assert not is_array(sent[0])
    for number, tensor in enumerate(sent):
        result = outcomes[number]
        assert result is not None
        assert torch.equal(result[0], 2 * tensor)
        assert result[0].dtype == tensor.dtype
        assert result[1]
