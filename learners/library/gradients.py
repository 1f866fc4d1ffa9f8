"""|weight x gradient| of every weight on the calibration images, for the Taylor criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from learners.graph.graph import Graph
from learners.graph.layers import Layer
from learners.graph.run import Program
from storage.errors import FixInputError

BATCH = 32
LEAST_CLASSES = 2  # of one class alone every image is certain, and all gradients are 0


def check_classes(shape: Sequence[int]) -> None:
    """FixInputError unless outputs of this shape [n, ...] say how probable each of several classes is."""
    if len(shape) != 2 or shape[1] < LEAST_CLASSES:
        sizes = ", ".join(["n", *map(str, shape[1:])])
        raise FixInputError(
            f'[search] criterion = "taylor" needs a model that outputs [n, classes], two or more; this one outputs '
            f'[{sizes}]: take another criterion, such as "obs"'
        )


def taylor_products(
    graph: Graph, tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer], images: torch.Tensor
) -> dict[str, torch.Tensor]:
    """By weight name, averaged over batches of `images` [n, ...].

    Calibration has no labels: the loss is the cross entropy of the model's own most probable class. A weight that no
    gradient reaches, such as one that decides a gate by a comparison, has products of 0.
    """
    weights = {layer.weight: tensors[layer.weight].detach().clone().requires_grad_() for layer in layers}
    program = Program(graph)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    batches = torch.split(images, BATCH)
    with torch.enable_grad():
        for batch in batches:
            output = program({**tensors, **weights}, batch)
            check_classes(output.shape)
            loss = F.cross_entropy(output, output.argmax(1).detach())
            gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                if gradient is not None:
                    total[name] += (weight * gradient).abs().detach() / len(batches)
    return total
