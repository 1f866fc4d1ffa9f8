"""`python -m benchmarks.rungs [MODEL]`: what looking again at the front on other quick images brings, and what stopping
an evaluation half-way saves and costs.

Writes benchmarks/results/rungs-MODEL.json and rungs.md. One search by the default sampler for each way and seed; a seed
draws other quick images, too. The same number of candidates each; what a way scores more is in its column of passes.
Samplers are told of a candidate once: what re-scoring finds chooses the front, it does not steer the search.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.images import draw
from benchmarks.material import RESULTS, config
from benchmarks.quick import Silent
from learners.library.library import Library
from learners.score import QuickScorer
from objectives.hypervolume import normalised
from objectives.pareto import non_dominated, thin
from searcher.allocation.reach import USELESS_POINTS
from searcher.contenders import TIE_POINTS
from searcher.samplers.base import SamplerContext, Scored
from searcher.samplers.table import sampler
from searcher.stages.prepare import Prepared, open_library, prepare
from storage.home import Home
from storage.records.candidate import Candidate

SAMPLER = "auto"
CANDIDATES = 240
BATCH = 24
SEEDS = (0, 1, 2)
QUICK = 256  # images of a block
BLOCKS = 4  # of quick images: the one of all candidates, and others to look again on
HELD_OUT = 2048  # images that nothing but the last comparison sees
ROWS = 16  # of a front that are looked at on them
NEAR_POINTS = 2.0  # below the front, within which candidates of blocks in turn are scored on the others, too
HALF = QUICK // 2  # images after which an evaluation might be stopped
STOP_ERRORS = 2.0  # standard errors of the paired difference by which a candidate must be dominated to be stopped


@dataclass
class History:
    """Soft scores in points above the dense model's on the same images: blocks differ, pairs of them hardly."""

    dense: Sequence[npt.NDArray[np.float32]]  # [images] of each block
    passes: float = 0.0  # of one candidate over one block
    scores: dict[Candidate, dict[int, npt.NDArray[np.float32]]] = field(default_factory=dict)
    stopped: set[Candidate] = field(default_factory=set)  # after half of the images: of them there are no more scores

    def gain(self, candidate: Candidate) -> float:
        """The mean over all blocks that the candidate was scored on."""
        found = self.scores[candidate]
        gains = [(soft - self.dense[block][: len(soft)]).mean() for block, soft in found.items()]
        return 100 * float(np.mean(gains))


@dataclass(frozen=True)
class Setting:
    """A library and the images of one seed."""

    library: Library
    scorers: Sequence[QuickScorer]  # of each block of quick images
    judge: QuickScorer  # of the held-out images
    seed: int

    def score(self, history: History, candidates: Sequence[Candidate], block: int) -> None:
        """Scores what was not yet scored on a block."""
        new = [item for item in candidates if block not in history.scores.get(item, {})]
        for item, score in zip(new, self.scorers[block].score(new), strict=True):
            history.scores.setdefault(item, {})[block] = score.soft
        history.passes += len(new)

    def near_front(self, history: History, points: float) -> list[Candidate]:
        """Candidates at most `points` below the front of accuracy and size."""
        known = [item for item in history.scores if item not in history.stopped]
        gains = np.array([history.gain(item) for item in known])
        sizes = np.array([self.library.space.size_bytes(item.levels) for item in known])
        best = np.array([gains[sizes <= size].max() for size in sizes])
        useful = gains >= gains.max() - USELESS_POINTS
        return [known[index] for index in np.flatnonzero((gains >= best - points) & useful)]


def as_it_is(setting: Setting, history: History, batch: Sequence[Candidate], index: int) -> None:
    """Every candidate on the same images."""
    del index
    setting.score(history, batch, 0)


def stopped_early(setting: Setting, history: History, batch: Sequence[Candidate], index: int) -> None:
    """Every candidate on the same images, but on half of them where these tell that it is dominated."""
    before = dict(history.scores)
    as_it_is(setting, history, batch, index)
    for item in batch:
        if _is_dominated(setting.library.space.size_bytes, before, item, history.scores[item]):
            history.scores[item] = {0: history.scores[item][0][:HALF]}
            history.stopped.add(item)
            history.passes -= 0.5


def rotated(setting: Setting, history: History, batch: Sequence[Candidate], index: int) -> None:
    """Each batch on the next block, and what lies near the front again, so that it is compared on the same images."""
    setting.score(history, batch, index % BLOCKS)
    setting.score(history, setting.near_front(history, NEAR_POINTS), index % BLOCKS)


def nothing(setting: Setting, history: History) -> None:
    """No second look."""
    del setting, history


def again(setting: Setting, history: History) -> None:
    """What lies near the front, as near as in a study, on all other blocks, which are as many images as there."""
    near = setting.near_front(history, TIE_POINTS)
    for block in range(1, BLOCKS):
        setting.score(history, near, block)


Look = Callable[[Setting, History, Sequence[Candidate], int], None]
PLAIN = "one block"
STOPPED = "one block, stopped at half where dominated"
WAYS: Mapping[str, tuple[Look, Callable[[Setting, History], None]]] = {
    PLAIN: (as_it_is, nothing),
    "one block, front scored again": (as_it_is, again),
    STOPPED: (stopped_early, nothing),
    "blocks in turn": (rotated, nothing),
}


@dataclass(frozen=True)
class RungFigures:
    """One search."""

    way: str
    seed: int
    hypervolume: float  # on the held-out images
    passes: float  # of a candidate over a block of quick images
    stopped: int  # candidates of which half of their images told that they are dominated; only for `STOPPED`


def measure(model: str, folder: Path) -> list[RungFigures]:
    """All ways with every seed; `folder` is a home, where the library may lie already."""
    torch.set_num_threads(1)
    prepared = prepare(config(model, model, "size=10x drop<=1"), Silent())
    library = open_library(prepared, Home(folder), lambda *_: None)
    found = []
    for seed in SEEDS:
        setting = _setting(library, prepared, seed)
        for way in WAYS:
            found.append(_run(way, setting))
            print(f"{model} {found[-1]}", file=sys.stderr)
    return found


def _setting(library: Library, prepared: Prepared, seed: int) -> Setting:
    """Disjoint blocks and held-out images of one seed, stratified."""
    subsets = draw(prepared, [QUICK] * BLOCKS + [HELD_OUT], seed)
    metric = prepared.workload.metric
    *scorers, judge = (QuickScorer(library, subset, metric) for subset in subsets)
    return Setting(library, scorers, judge, seed)


def _run(way: str, setting: Setting) -> RungFigures:
    look, at_the_end = WAYS[way]
    space = setting.library.space
    dense = Candidate((0,) * len(space.sites), setting.library.id)
    history = History([scorer.score([dense])[0].soft for scorer in setting.scorers])
    proposer = sampler(SAMPLER, SamplerContext(space, setting.library.id, setting.seed, (), frozenset({dense})))
    level = 100 * float(history.dense[0].mean(dtype=np.float64))
    done = 0
    while done < CANDIDATES:
        asked = list(proposer.ask(BATCH))
        look(setting, history, asked, done // BATCH)
        proposer.tell(
            [Scored(c, level + history.gain(c), space.size_bytes(c.levels), space.macs(c.levels)) for c in asked]
        )
        done += len(asked)
    at_the_end(setting, history)
    return RungFigures(way, setting.seed, _volume(setting, history, dense), history.passes, len(history.stopped))


def _is_dominated(
    size: Callable[[tuple[int, ...]], float],
    before: Mapping[Candidate, Mapping[int, npt.NDArray[np.float32]]],
    candidate: Candidate,
    own: Mapping[int, npt.NDArray[np.float32]],
) -> bool:
    """Whether half of the images tell that a candidate as small as this one is better."""
    if 0 not in own:
        return False
    for other, found in before.items():
        if 0 in found and len(found[0]) == QUICK and size(other.levels) <= size(candidate.levels):
            differences = (found[0] - own[0])[:HALF]
            if differences.mean() > STOP_ERRORS * differences.std(ddof=1) / sqrt(HALF):
                return True
    return False


def _volume(setting: Setting, history: History, dense: Candidate) -> float:
    """The normalised hypervolume of the front's models on the held-out images."""
    space = setting.library.space
    near = setting.near_front(history, 0.0)
    points = np.array([(history.gain(item), -np.log2(space.size_bytes(item.levels))) for item in near])
    kept = np.flatnonzero(non_dominated(points))
    front = [near[kept[index]] for index in thin(points[kept], ROWS)]
    scores = setting.judge.score([dense, *front])
    accuracies = [100 * float(score.metric.mean(dtype=np.float64)) for score in scores]
    sizes = [space.size_bytes(dense.levels) / space.size_bytes(item.levels) for item in front]
    return normalised(accuracies[1:], accuracies[0], sizes)


def write_table(folder: Path, models: Sequence[str]) -> None:
    """Writes rungs.md from every rungs-MODEL.json that exists."""
    lines = [
        "# A second look at the front",
        "",
        f"Written by `python -m benchmarks.rungs`. {CANDIDATES} candidates of `{SAMPLER}`; normalised hypervolume of",
        f"accuracy against size of at most {ROWS} models of the front on {HELD_OUT} images that nothing else has seen:",
        f"mean and standard deviation over {len(SEEDS)} seeds, each with quick images of its own. A pass is one",
        f"candidate over {QUICK} images. A front that is scored again is so as in a study: what it beats by at most",
        f"{TIE_POINTS} points, too, on {QUICK * (BLOCKS - 1)} more images. Stopped are candidates that {HALF} images",
        f"tell to be dominated by {STOP_ERRORS:.0f} standard errors of the paired difference; the sampler learns from",
        "these images alone.",
    ]
    for model in models:
        path = folder / f"rungs-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", ""]
            lines += ["| quick images | hypervolume | passes | stopped early |", "|---|---|---|---|"]
            for way in WAYS:
                own = [RungFigures(**item) for item in document["figures"] if item["way"] == way]
                if not own:  # of an earlier version
                    continue
                volumes = [item.hypervolume for item in own]
                stopped = f"{np.mean([item.stopped for item in own]):.0f} of {CANDIDATES}" if way == STOPPED else "-"
                lines.append(
                    f"| {way} | {np.mean(volumes):.3f} ± {np.std(volumes, ddof=1):.3f} "
                    f"| {np.mean([item.passes for item in own]):.0f} "
                    f"| {stopped} |"
                )
    (folder / "rungs.md").write_text("\n".join(lines) + "\n")


def main(models: Sequence[str]) -> None:
    """Measures and writes."""
    for model in models or ("resnet20",):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(model, Path(folder))
        document = {
            "command": f"python -m benchmarks.rungs {model}",
            "date": time.strftime("%Y-%m-%d"),
            "figures": [asdict(item) for item in figures],
        }
        (RESULTS / f"rungs-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
    write_table(RESULTS, ("resnet20", "resnet56"))
    print((RESULTS / "rungs.md").read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
