"""What each criterion leaves of ResNet-20 without any training, with and without reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.material import config
from benchmarks.quick import Silent
from learners.base import LearnerOptions
from learners.channel.criteria.table import CRITERIA
from learners.device import single_thread
from learners.graph.run import Program
from learners.library.build import open_or_build
from learners.library.library import Library
from learners.stitch import stitched_graph, stitched_tensors
from learners.table import in_order
from searcher.stages.prepare import Prepared, prepare
from storage.records.space import CHANNEL

SHARES = (0.25, 0.375, 0.5)  # of the channels within every residual block that go
BATCH = 64


@dataclass(frozen=True)
class CriterionRow:
    """Accuracy in percent on the confirmation images, for each of SHARES."""

    criterion: str
    reconstructed: bool
    accuracy: tuple[float, ...]


def measure(model: str, folder: Path) -> tuple[CriterionRow, ...]:
    """Every criterion, with and without reconstruction. `folder` takes the libraries."""
    torch.set_num_threads(1)
    prepared = prepare(config(model, model, "macs=1.1x drop<=1"), Silent())
    images = prepared.workload.calibration.images
    rows = []
    for name in CRITERIA:
        for fitted in (True, False):
            learners = in_order(("channel",), LearnerOptions(criterion=name, reconstruct=fitted))
            library = open_or_build(folder, prepared.analysis, images, learners, 0, lambda *_: None)
            accuracy = tuple(_accuracy(prepared, library, _plan(library, share)) for share in SHARES)
            rows.append(CriterionRow(name, fitted, accuracy))
    return tuple(rows)


def _plan(library: Library, share: float) -> tuple[int, ...]:
    """`share` of the channels within every block goes; what a residual stage shares stays."""
    levels = []
    for site in library.space.sites:
        inner = site.learner == CHANNEL and len(site.layers) == 1
        widths = [level.channels or 0 for level in site.levels]
        wanted = round((1 - share) * widths[0])
        levels.append(widths.index(wanted) if inner else 0)
    return tuple(levels)


def _accuracy(prepared: Prepared, library: Library, levels: Sequence[int]) -> float:
    workload = prepared.workload
    adapted = library.choose(levels, library.id)
    program = Program(stitched_graph(library.analysis, adapted.kept))
    tensors = stitched_tensors(library.analysis, adapted)
    with single_thread(), torch.no_grad():
        batches = torch.split(torch.from_numpy(workload.confirmation.images), BATCH)
        outputs = torch.cat([program(tensors, batch) for batch in batches]).numpy()
    scores = workload.metric.per_image(outputs, workload.confirmation.labels, outputs)
    return 100 * float(scores.mean(dtype="float64"))
