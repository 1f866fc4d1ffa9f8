"""Plain rounding at widths that a study does not include, on the same images through the same files."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.material import config
from benchmarks.quick import Silent
from learners.export.packing import pack_candidate
from objectives.accuracy import evaluate
from objectives.runtimes.packed import PackedSession
from searcher.stages.context import input_contract
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.slim import pack, unpack


def rounded(model: str, home: Path, bits: int) -> dict[str, float]:
    """Accuracy in percent and size in bytes of uniform plain rounding at `bits`."""
    torch.set_num_threads(1)
    prepared = prepare(config(model, model, "size=8x drop<=1"), Silent())
    library = open_library(prepared, Home(home), lambda *_: None)
    levels = library.choose(library.space.uniform_bits(bits), library.rounded_id)
    packed = pack_candidate(library.analysis, levels, library.ranges, input_contract(prepared.workload))
    data = pack(packed)
    images, labels = prepared.workload.confirmation.images, prepared.workload.confirmation.labels
    outputs = evaluate(PackedSession(unpack(data)), images)
    scores = prepared.workload.metric.per_image(outputs, labels, outputs)
    return {"accuracy": 100 * float(scores.mean(dtype="float64")), "size_bytes": len(data)}
