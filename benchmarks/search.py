"""`python -m benchmarks.search [MODEL ...]`: every sampler on the same library, judged on images that none has scored.

Writes benchmarks/results/search-MODEL.json and the tables in benchmarks/results/search.md. Hypervolume is accuracy
against size, normalised as `objectives.hypervolume.normalised` says, of the front by quick score after so many
evaluations.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.images import draw
from benchmarks.material import MODELS, RESULTS, config
from benchmarks.parts import Parts
from benchmarks.quick import Silent
from learners.library.library import Library
from learners.score import QuickScorer
from objectives.hypervolume import normalised
from objectives.pareto import non_dominated, thin
from searcher.allocation.reach import USELESS_POINTS
from searcher.samplers.base import Sampler, SamplerContext, Scored, batch_size
from searcher.samplers.nsga2 import Nsga2Sampler
from searcher.samplers.table import SAMPLERS, sampler
from searcher.samplers.tpe import TpeSampler
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.records.candidate import Candidate
from storage.records.space import SearchSpace

SEEDS = (0, 1, 2)
AFTER = (24, 48, 240)  # evaluations
QUICK = 256  # images that candidates are scored on, as in a study
HELD_OUT = 2048  # images that judge the front
# As a script by hand would have them for accuracy against size: without speed as a third objective.
BY_HAND: Mapping[str, Callable[[SamplerContext], Sampler]] = {
    "tpe of two objectives": lambda context: TpeSampler(context, speed=False),
    "nsga2 of two objectives": lambda context: Nsga2Sampler(context, speed=False),
}
ROWS = 16  # of a front that are looked at on them, spread over its sizes


@dataclass(frozen=True)
class SearchFigures:
    """One run of one sampler."""

    sampler: str
    seed: int
    evaluations: int
    hypervolume: float  # on the held-out images
    quick_hypervolume: float  # by the accuracy on the images that chose the front: what is more is luck
    cpu_seconds: float  # of asking, scoring and telling so far


class HeldOut:
    """Accuracies on images that no sampler scores, remembered."""

    def __init__(self, scorer: QuickScorer) -> None:
        self._scorer = scorer
        self._known: dict[Candidate, float] = {}

    def accuracies(self, candidates: Sequence[Candidate]) -> list[float]:
        """Percent, in order."""
        missing = [item for item in dict.fromkeys(candidates) if item not in self._known]
        for item, score in zip(missing, self._scorer.score(missing), strict=True):
            self._known[item] = 100 * float(score.metric.mean(dtype=np.float64))
        return [self._known[item] for item in candidates]


def measure(model: str, parts: Parts, names: Sequence[str]) -> Iterator[list[SearchFigures]]:
    """Yields all figures so far after each run of one of `names`, every seed in turn."""
    torch.set_num_threads(1)
    prepared = prepare(config(model, model, "size=10x drop<=1"), Silent())
    home = Home(parts.folder / "home")
    found: list[SearchFigures] = []
    for seed in SEEDS:
        quick, held_out = draw(prepared, (QUICK, HELD_OUT), seed)
        judge = HeldOut(QuickScorer(open_library(prepared, home, lambda *_: None), held_out, prepared.workload.metric))
        for name in names:
            # Each with a library of its own: weights that one sampler has had made would be free for the next.
            library = open_library(prepared, home, lambda *_: None)
            run = partial(_documents, name, seed, library, QuickScorer(library, quick, prepared.workload.metric), judge)
            found += [SearchFigures(**item) for item in parts.get(f"{name}-{seed}".replace(" ", "-"), run)]
            print(f"{model} {name} {seed}: {found[-1].hypervolume:.4f}", file=sys.stderr)
            yield found


def _documents(
    name: str, seed: int, library: Library, scorer: QuickScorer, held_out: HeldOut
) -> list[dict[str, str | float]]:
    return [asdict(item) for item in _run(name, seed, library, scorer, held_out)]


def _run(name: str, seed: int, library: Library, scorer: QuickScorer, held_out: HeldOut) -> list[SearchFigures]:
    space = library.space
    dense = Candidate((0,) * len(space.sites), library.id)
    started = time.process_time()
    # No target: what counts is the whole range of sizes, and a constraint would keep Optuna's out of most of it.
    context = SamplerContext(space, library.id, seed, (), frozenset({dense}))
    proposer = BY_HAND[name](context) if name in BY_HAND else sampler(name, context)
    (dense_score,) = scorer.score([dense])
    dense_hits = 100 * float(dense_score.metric.mean(dtype=np.float64))
    scores: dict[Candidate, float] = {}
    hits: dict[Candidate, float] = {}
    found, seconds = [], time.process_time() - started
    while len(scores) < max(AFTER):
        started = time.process_time()
        asked = list(proposer.ask(_batch(len(scores), proposer.batch)))
        if not asked:
            break
        results = scorer.score(asked)
        softs = [100 * float(item.soft.mean(dtype=np.float64)) for item in results]
        hits.update({c: 100 * float(r.metric.mean(dtype=np.float64)) for c, r in zip(asked, results, strict=True)})
        pairs = list(zip(asked, softs, strict=True))
        proposer.tell([Scored(c, s, space.size_bytes(c.levels), space.macs(c.levels)) for c, s in pairs])
        seconds += time.process_time() - started
        scores.update(pairs)
        if len(scores) in AFTER:  # batches end there
            front = best_of(scores, {item: space.size_bytes(item.levels) for item in scores})
            quick = normalised([hits[item] for item in front], dense_hits, _ratios(space, front))
            accuracies = held_out.accuracies([dense, *front])
            volume = normalised(accuracies[1:], accuracies[0], _ratios(space, front))
            found.append(SearchFigures(name, seed, len(scores), volume, quick, seconds))
    return found


def _batch(done: int, batch: int) -> int:
    """As many as a study asks for, but that all samplers stop at the same counts."""
    nexts = [count for count in AFTER if count > done]
    return min(batch_size(done, batch), min(nexts) - done)


def best_of(scores: Mapping[Candidate, float], costs: Mapping[Candidate, float]) -> list[Candidate]:
    """Those that no other beats in score and cost, at most `ROWS` of them."""
    candidates = list(scores)
    points = np.array([(scores[item], -np.log2(costs[item])) for item in candidates])
    best = points[:, 0].max()
    useful = points[:, 0] >= best - USELESS_POINTS
    kept = np.flatnonzero(non_dominated(points) & useful)
    return [candidates[kept[index]] for index in thin(points[kept], ROWS)]


def _ratios(space: SearchSpace, candidates: Sequence[Candidate]) -> list[float]:
    dense = space.size_bytes((0,) * len(space.sites))
    return [dense / space.size_bytes(item.levels) for item in candidates]


def write_tables(folder: Path) -> None:
    """Writes search.md from every search-MODEL.json that exists."""
    lines = [
        "# Samplers compared",
        "",
        "Written by `make bench-search` (`python -m benchmarks.search`). Normalised hypervolume of accuracy against",
        f"size, on {HELD_OUT} images that no sampler has scored, of at most {ROWS} models of the front by quick score",
        f"after so many evaluations: mean and standard deviation over seeds. A seed draws the {QUICK} quick images and",
        "the held-out ones, too, the same for all samplers. `tpe`, `nsga2` and their seeded kinds look for speed, too,",
        "which is not judged here; those of two objectives, as a script by hand would have them, do not. CPU seconds",
        "of asking, scoring and telling, and the last volume per 100 of them, by which what costs least leads as soon",
        "as volumes no longer grow. The last column is the same volume on the images that chose the front: what it is",
        "more is luck.",
    ]
    for model in MODELS:
        path = folder / f"search-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            figures = [SearchFigures(**item) for item in document["figures"]]
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", "", *table(figures)]
    (folder / "search.md").write_text("\n".join(lines) + "\n")


def table(figures: Sequence[SearchFigures]) -> list[str]:
    """A Markdown table, a line each sampler, the best first."""
    last = {item.sampler: item.hypervolume for item in figures if item.evaluations == max(AFTER)}
    names = sorted(dict.fromkeys(item.sampler for item in figures), key=lambda name: -last.get(name, 0.0))
    lines = [
        f"| sampler | seeds | {' | '.join(f'after {count}' for count in AFTER)} "
        "| CPU-s | per 100 CPU-s | by quick score |",
        "|---|---|" + "---|" * (len(AFTER) + 3),
    ]
    for name in names:
        own = [[item for item in figures if item.sampler == name and item.evaluations == count] for count in AFTER]
        cells = " | ".join(mean_and_deviation([item.hypervolume for item in found]) for found in own)
        seconds, volume, quick = (
            float(np.mean([getattr(item, field) for item in own[-1]])) if own[-1] else float("nan")
            for field in ("cpu_seconds", "hypervolume", "quick_hypervolume")
        )
        figures_of_last = f"{seconds:.0f} | {100 * volume / seconds:.2f} | {quick:.3f}"
        lines.append(f"| `{name}` | {len(own[-1])} | {cells} | {figures_of_last} |")
    return lines


def mean_and_deviation(values: Sequence[float], digits: int = 3) -> str:
    """Of the values of several seeds, as a cell of a table."""
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values) or "-"
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


def main(models: Sequence[str]) -> None:
    """Runs all samplers on each model."""
    for model in models or MODELS:
        parts = Parts(f"search-{model}")
        for figures in measure(model, parts, [*sorted(SAMPLERS), *BY_HAND]):
            _save(model, figures)  # a run of hours that is cut short goes on, and keeps what it has
        parts.remove()
    print((RESULTS / "search.md").read_text())


def _save(model: str, figures: Sequence[SearchFigures]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {
        "command": f"python -m benchmarks.search {model}",
        "date": time.strftime("%Y-%m-%d"),
        "figures": [asdict(item) for item in figures],
    }
    (RESULTS / f"search-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
    write_tables(RESULTS)


if __name__ == "__main__":
    main(sys.argv[1:])
