"""|weight x gradient| of every weight on the calibration images, for the Taylor criterion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from learners.graph.graph import Graph
from learners.graph.layers import Layer
from learners.graph.run import Program

BATCH = 32


def taylor_products(
    graph: Graph, tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer], images: torch.Tensor
) -> dict[str, torch.Tensor]:
    """By weight name, averaged over batches of `images` [n, ...].

    Calibration has no labels: the loss is the cross entropy of the model's own most probable class.
    """
    weights = {layer.weight: tensors[layer.weight].detach().clone().requires_grad_() for layer in layers}
    program = Program(graph)
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    batches = torch.split(images, BATCH)
    with torch.enable_grad():
        for batch in batches:
            output = program({**tensors, **weights}, batch).flatten(1)
            loss = F.cross_entropy(output, output.argmax(1).detach())
            gradients = torch.autograd.grad(loss, list(weights.values()))
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
                total[name] += (weight * gradient).abs().detach() / len(batches)
    return total
