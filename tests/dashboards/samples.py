"""A study in memory, whose figures can be checked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from objectives.paired import pack_scores
from storage.memory import open_memory
from storage.records.candidate import Candidate, Proposal
from storage.records.certificate import Certificate, CertificateReport, Verdict
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyFactor, LatencyTable
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.space import CHANNEL, QUANT, Factor, LayerShape, Level, Protected, SearchSpace, Site
from storage.records.study import CERTIFICATE, DECLARED, Analysis, FrontRow, StudyState
from storage.store import StudyStore

NAME = "s"
LIBRARY = "0123"
DENSE = DenseFacts(accuracy=90.0, size_bytes=8000, latency_ms=None, macs=1000)
LEVELS = (Level("fp32"), Level("w4", 4, method="gptq"), Level("w2", 2, method="gptq"))
SIZES, ERRORS = (4000.0, 600.0, 350.0), (0.0, 0.02, 0.2)
SPACE = SearchSpace(
    sites=tuple(Site(name, QUANT, "convolution", 400, 1000, LEVELS, (name,)) for name in ("conv1", "conv2")),
    protected=(Protected("head", "named in [search] keep"),),
    fixed_bytes=100,
    factors=tuple(Factor(name, (site,), SIZES, (400.0,) * 3, ERRORS) for site, name in enumerate(("conv1", "conv2"))),
    fixed_macs=200,
    layers=tuple(LayerShape(name, "convolution", 1000, 400, None, (8,)) for name in ("conv1", "conv2")),
)
# The same model where conv1's 8 channels, which conv2 reads, may become 6 or 4. Half of conv2's error is the group's.
GROUP = Site(
    "conv1",
    CHANNEL,
    "channels",
    400,
    1000,
    tuple(Level(f"c{left}", channels=left, method="obs" if left < 8 else "unchanged") for left in (8, 6, 4)),
    ("conv1",),
)
SHARES = (1.0, 0.75, 0.5)  # of the channels at each level
LOST = (0.0, 0.04, 0.3)  # relative error of conv2 without them
JOINT_SPACE = SearchSpace(
    sites=(GROUP, *SPACE.sites),
    protected=SPACE.protected,
    fixed_bytes=100,
    factors=(
        Factor(
            "conv1",
            (0, 1),
            tuple(share * size for share in SHARES for size in SIZES),
            tuple(share * 400.0 for share in SHARES for _ in SIZES),
            tuple(error for _ in SHARES for error in ERRORS),
        ),
        Factor(
            "conv2",
            (0, 2),
            tuple(share * size for share in SHARES for size in SIZES),
            tuple(share * 400.0 for share in SHARES for _ in SIZES),
            tuple(lost + error for lost in LOST for error in ERRORS),
        ),
        Factor("shortcut", (0,), (16.0, 12.0, 8.0), (0.0,) * 3, (0.0,) * 3),  # an index map
    ),
    fixed_macs=200,
    kept_channels=(Protected("conv2", "the model's output"),),
    layers=(
        LayerShape("conv1", "convolution", 1000, 400, 0, (8, 6, 4)),
        LayerShape("conv2", "convolution", 1000, 400, None, (8,)),
    ),
)
JOINT = (1, 2, 1)  # a candidate of it: 6 channels, conv1 at 2 bits, conv2 at 4
LATENCY = LatencyTable(
    runtime="onnxruntime",
    hardware="a processor",
    fixed_ms=0.5,
    dense_ms=2.0,
    factors=(
        LatencyFactor("conv1", (0, 1), (0.8, 0.4, 0.4, 0.7, 0.3, 0.3, 0.5, 0.2, 0.2)),
        LatencyFactor("conv2", (0, 2), (0.7, 0.3, 0.3, 0.6, 0.2, 0.2, 0.4, 0.1, 0.1)),
    ),
)
CONFIG = {
    "name": NAME,
    "model": {"factory": "/nets.py:net", "weights": "/w.safetensors", "input": [1, 8, 8]},
    "data": {"kind": "digits", "mean": [0.0], "std": [1.0]},
    "target": {"size": "8x", "max_drop": 2.0},
    "search": {"candidates": 4},
}
BASELINES = (
    Proposal(Candidate((0, 0), LIBRARY), "baseline", "dense"),
    Proposal(Candidate((), "ort int8"), "baseline", "ort int8"),
    Proposal(Candidate((1, 1), f"rounded:{LIBRARY}"), "baseline", "rounded w4"),
)
SEARCHED = tuple(Proposal(Candidate(levels, LIBRARY), "allocation") for levels in ((1, 1), (2, 1), (1, 2), (2, 2)))
QUICK_IMAGES = 100


def new_store(**search: object) -> StudyStore:
    """A store with a study that has just been created."""
    store = open_memory("memory://", 0.0)
    store.create_study(NAME, json.dumps({**CONFIG, "search": search or CONFIG["search"]}))
    return store


def analyse(store: StudyStore, space: SearchSpace = SPACE, latency: LatencyTable | None = None) -> None:
    """The study runs, and its model is analysed."""
    store.update_study(NAME, state=StudyState.RUNNING, stage="library", seconds=1.0, attempt=1)
    table = None if latency is None else latency.to_json()
    analysis = Analysis(space.to_json(), LIBRARY, DENSE.to_json(), "a processor", "workload", table)
    store.save_analysis(NAME, analysis)


def predicted(speedup: float | None) -> tuple[Measurement, ...]:
    """What the latency table says, where there is one; the dense model takes 2 ms."""
    if speedup is None:
        return ()
    return (
        Measurement("predicted_latency", 2.0 / speedup, "ms", Direction.MINIMIZE),
        Measurement("predicted_speedup", speedup, "x", Direction.MAXIMIZE),
    )


def quick(number: int, hits: int, size: int, speedup: float | None = None) -> Result:
    """A quick result: the first `hits` of 100 images are right."""
    scores = (np.arange(QUICK_IMAGES) < hits).astype(np.float32)
    return Result(
        number,
        Rung.QUICK,
        (
            Measurement("soft_accuracy", hits - 0.5, "%", Direction.MAXIMIZE, QUICK_IMAGES),
            Measurement("accuracy", float(hits), "%", Direction.MAXIMIZE, QUICK_IMAGES),
            Measurement("size", size, "bytes", Direction.MINIMIZE),
            Measurement("macs", 1000, "macs", Direction.MINIMIZE),
            *predicted(speedup),
        ),
        per_image=pack_scores(scores),
        seconds=0.5,
    )


def confirmed(number: int, accuracy: float, size: int, macs: int = 1000, speedup: float | None = None) -> Result:
    """A confirmed result on 400 images; the bound is a point above the drop."""
    drop = DENSE.accuracy - accuracy
    return Result(
        number,
        Rung.CONFIRMED,
        (
            Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, 400),
            Measurement("drop", drop, "points", Direction.MINIMIZE, 400, drop - 1, drop + 1),
            Measurement("size", size, "bytes", Direction.MINIMIZE),
            Measurement("onnx_size", size + 50, "bytes", Direction.MINIMIZE),
            Measurement("macs", macs, "macs", Direction.MINIMIZE),
            *predicted(speedup),
        ),
        artifact=str(number),
        seconds=3.0,
    )


def timed(number: int, latency: float, speedup: float) -> Result:
    """A latency of three turns."""
    return Result(
        number,
        Rung.TIMED,
        (
            Measurement("latency", latency, "ms", Direction.MINIMIZE, 3),
            Measurement("speedup", speedup, "x", Direction.MAXIMIZE, 3, speedup - 0.1, speedup + 0.1),
        ),
    )


def search(store: StudyStore, evaluated: int = 4) -> None:
    """Baselines 1 to 3 and candidates 4 to 7 are proposed; all but "ort int8" are scored, `evaluated` candidates."""
    store.update_study(NAME, stage="quick", seconds=2.0)
    store.add_trials(NAME, 1, BASELINES)
    store.add_trials(NAME, 4, SEARCHED)
    results = [quick(1, 92, 8100), quick(3, 80, 1300)]
    results += [quick(4, 91, 1300), quick(5, 88, 1050), quick(6, 85, 1050), quick(7, 70, 800)][:evaluated]
    numbers = [number for number in (1, 4, 5, 7) if number - 3 <= evaluated]
    store.record_batch(NAME, results, [FrontRow(place, n, Rung.QUICK) for place, n in enumerate(numbers)])


def confirm(store: StudyStore) -> tuple[FrontRow, ...]:
    """Baselines and three candidates are confirmed; their front."""
    store.update_study(NAME, stage="confirmed", seconds=3.0)
    results = [confirmed(1, 90.0, 8000), confirmed(2, 89.5, 2500), confirmed(3, 79.0, 1310)]
    results += [confirmed(4, 89.0, 1310), confirmed(5, 88.5, 1000), confirmed(7, 70.0, 800)]
    front = tuple(FrontRow(place, number, Rung.CONFIRMED) for place, number in enumerate((1, 2, 4, 5, 7)))
    store.record_batch(NAME, results, front)
    return front


def finish(store: StudyStore) -> None:
    """The same, which are timed."""
    front = confirm(store)
    store.update_study(NAME, stage="latency", seconds=4.0)
    store.record_batch(NAME, [timed(1, 2.0, 1.0), timed(2, 1.0, 2.0), timed(5, 0.8, 2.5)], front)
    store.update_study(NAME, state=StudyState.SUCCEEDED, stage="done", seconds=5.0)


TRAINED = (
    Proposal(Candidate((2, 2), "finetune:8"), "finetune", parent=7),
    Proposal(Candidate((2, 2), "finetune:9"), "finetune", parent=8),
    Proposal(Candidate((1, 1), "finetune:10"), "finetune", "uniform at target, trained 10", parent=3),
)


def train(store: StudyStore) -> None:
    """After `confirm`: 8 is trained from 7, 9 from 8, 10 from the baseline 3. 9 takes the place of 7 on the front."""
    store.add_trials(NAME, 8, TRAINED)
    figures = ((8, Rung.TUNED, 80.0, 802), (9, Rung.FINAL, 88.0, 801), (10, Rung.FINAL, 85.0, 1310))
    results = [replace(confirmed(number, accuracy, size), rung=rung) for number, rung, accuracy, size in figures]
    front = [
        FrontRow(place, number, Rung.FINAL if number == 9 else Rung.CONFIRMED)
        for place, number in enumerate((1, 2, 4, 5, 9))
    ]
    store.record_batch(NAME, [*results, timed(9, 0.5, 4.0), timed(10, 1.0, 2.0)], front)


def certificate(number: int, verdict: Verdict, primary: bool = False, needed: int | None = None) -> Certificate:
    """What the test split may say of a candidate, with figures that fit no verdict in particular."""
    return Certificate(number, primary, verdict, needed, 1.25, 0.5, 1.75, 400, 0.04, 0.95 if primary else 0.975, 2.0)


CERTIFICATES = (
    certificate(5, Verdict.CERTIFIED, primary=True),
    certificate(9, Verdict.FAILS),
    certificate(10, Verdict.OPEN, needed=1500),
)
SENTENCES = (
    "certified: at most 1.75 points worse (95 %, 400 images)",
    "fails: at least 0.50 points worse, 2 are allowed (97.5 %, 400 images)",
    "not certified, needs about 1500 images: 1.25 points worse, at most 1.75 (97.5 %, 400 images)",
)


def certify(store: StudyStore, looks: int = 1) -> None:
    """After `train`: 5, 9 and 10 are judged on the test split, as the searcher stores it."""
    store.add_event(NAME, DECLARED, "candidate 5 and 2 more", '{"primary": 5, "candidates": [5, 9, 10]}')
    report = CertificateReport(looks, CERTIFICATES)
    store.add_event(NAME, CERTIFICATE, CERTIFICATES[0].sentence, report.to_json())
