"""`python -m benchmarks.macs [MODEL ...]`: for a target of MACs alone, bits and channels beside channels alone.

Writes benchmarks/results/macs-MODEL.json and macs.md. One search is one throw: where it ends depends on its images and
draws. Both ways run from several seeds, each of which draws the images, too. The contenders get a second score, which
with the first one chooses the front; it is judged by accuracy against MACs on images without any score.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.images import draw
from benchmarks.material import MODELS, RESULTS, config
from benchmarks.parts import Parts
from benchmarks.quick import Silent
from benchmarks.search import HELD_OUT, QUICK, ROWS, HeldOut, best_of, mean_and_deviation
from learners.library.library import Library
from learners.score import QuickScorer
from objectives.hypervolume import normalised
from searcher.allocation.budget import Budget
from searcher.contenders import contenders, together
from searcher.front import QUICK_OBJECTIVE
from searcher.samplers.base import SamplerContext, Scored, batch_size
from searcher.samplers.table import sampler
from searcher.stages.prepare import open_library, prepare
from storage.home import Home
from storage.records.candidate import Candidate
from storage.records.config import DEFAULT_CANDIDATES, DEFAULT_RESCORE, StudyConfig
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.space import SearchSpace

SEEDS = (0, 1, 2, 3, 4)
PLANS = DEFAULT_CANDIDATES
RATIO = 1.3  # times fewer MACs: what the target asks for
LEARNERS = {"channels and bits": ("channel", "quant"), "channels alone": ("channel",)}


@dataclass(frozen=True)
class MacsFigures:
    """One search."""

    learners: str
    seed: int
    hypervolume: float  # of accuracy against MACs, on the held-out images
    drop_at_target: float  # points, on the held-out images, of the best by both scores within the target
    drop_by_quick: float  # the same, of the best by quick score alone
    size_at_target: float  # how many times smaller its file is, as predicted
    cpu_seconds: float  # of asking, scoring and telling


def measure(model: str, title: str, seed: int, home: Home) -> MacsFigures:
    """Runs one search of `PLANS` candidates by `auto` and judges its front."""
    prepared = prepare(_config(model, LEARNERS[title]), Silent())
    library = open_library(prepared, home, lambda *_: None)
    metric, subsets = prepared.workload.metric, draw(prepared, (QUICK, DEFAULT_RESCORE, HELD_OUT), seed)
    scorer, second, judge = (QuickScorer(library, images, metric) for images in subsets)
    started = time.process_time()
    quick = _search(library, scorer, seed)
    space = library.space
    macs = {item: space.macs(item.levels) for item in quick}
    dense = next(iter(quick))
    scores = _second(quick, space, second)
    seconds = time.process_time() - started
    front = best_of(scores, macs)

    def within(found: dict[Candidate, float]) -> Candidate:
        return max((item for item in found if macs[item] <= macs[dense] / RATIO), key=lambda item: found[item])

    chosen = within(scores)
    accuracies = HeldOut(judge).accuracies([dense, chosen, within(quick), *front])
    return MacsFigures(
        learners=title,
        seed=seed,
        hypervolume=normalised(accuracies[3:], accuracies[0], [macs[dense] / macs[item] for item in front]),
        drop_at_target=accuracies[0] - accuracies[1],
        drop_by_quick=accuracies[0] - accuracies[2],
        size_at_target=prepared.dense_bytes / space.size_bytes(chosen.levels),
        cpu_seconds=seconds,
    )


def _document(model: str, title: str, seed: int, home: Home) -> dict[str, str | float]:
    return asdict(measure(model, title, seed, home))


def _search(library: Library, scorer: QuickScorer, seed: int) -> dict[Candidate, float]:
    """The quick score of every candidate, that of the dense model first."""
    space = library.space
    dense = Candidate((0,) * len(space.sites), library.id)
    budgets = (Budget("macs", space.macs(dense.levels) / RATIO),)
    proposer = sampler("auto", SamplerContext(space, library.id, seed, budgets, frozenset({dense})))
    scores = {dense: 100 * float(scorer.score([dense])[0].soft.mean(dtype=np.float64))}
    while asked := proposer.ask(min(batch_size(len(scores) - 1, proposer.batch), PLANS + 1 - len(scores))):
        for item, found in zip(asked, scorer.score(list(asked)), strict=True):
            scores[item] = 100 * float(found.soft.mean(dtype=np.float64))
        costs = [(item, space.size_bytes(item.levels), space.macs(item.levels)) for item in asked]
        proposer.tell([Scored(item, scores[item], size, macs) for item, size, macs in costs])
    return scores


def _second(scores: Mapping[Candidate, float], space: SearchSpace, scorer: QuickScorer) -> dict[Candidate, float]:
    """The scores of the contenders over the images of both scores."""
    known = list(scores)

    def result(place: int, rung: Rung, score: float, images: int) -> Result:
        levels = known[place].levels
        measurements = (
            Measurement(QUICK_OBJECTIVE, score, "%", Direction.MAXIMIZE, images),
            Measurement("size", space.size_bytes(levels), "bytes", Direction.MINIMIZE),
            Measurement("macs", space.macs(levels), "macs", Direction.MINIMIZE),
        )
        return Result(place, rung, measurements)

    first = [result(place, Rung.QUICK, scores[item], QUICK) for place, item in enumerate(known)]
    chosen = contenders(first, macs=True, along=("macs",))
    found = {}
    for item, score in zip(chosen, scorer.score([known[item.number] for item in chosen]), strict=True):
        soft = 100 * float(score.soft.mean(dtype=np.float64))
        both = together(item, result(item.number, Rung.RESCORED, soft, DEFAULT_RESCORE))
        found[known[item.number]] = both.value(QUICK_OBJECTIVE)
    return found


def _config(model: str, learners: tuple[str, ...]) -> StudyConfig:
    found = config(model, model, f"macs={RATIO}x drop<=1")
    return found.model_copy(update={"search": found.search.model_copy(update={"learners": learners})})


def write_tables(folder: Path) -> None:
    """Writes macs.md from every macs-MODEL.json that exists."""
    lines = [
        "# A target of MACs alone",
        "",
        f"Written by `python -m benchmarks.macs`. {PLANS} candidates by `auto` for {RATIO} times fewer MACs, mean and",
        f"standard deviation over seeds, each with quick, rescoring and held-out images of its own ({QUICK},",
        f"{DEFAULT_RESCORE} and {HELD_OUT}). The hypervolume is of accuracy against MACs, of at most {ROWS} models of",
        "the front by both scores; the drop is that of the best candidate within the target, by both scores and, in",
        "brackets, by the quick score alone. There is no latency table. Differences are of the same seed and so of the",
        "same images, mean and standard error.",
    ]
    for model in MODELS:
        path = folder / f"macs-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            figures = [MacsFigures(**item) for item in document["figures"]]
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", "", *_table(figures)]
    (folder / "macs.md").write_text("\n".join(lines) + "\n")


def _table(figures: Sequence[MacsFigures]) -> list[str]:
    lines = [
        f"| learners | seeds | hypervolume | drop at {RATIO}x fewer MACs | its file | CPU-s |",
        "|---|---|---|---|---|---|",
    ]
    for title in LEARNERS:
        own = [item for item in figures if item.learners == title]
        if own:
            volume = mean_and_deviation([item.hypervolume for item in own])
            drop, first = (
                mean_and_deviation([getattr(item, field) for item in own], 2)
                for field in ("drop_at_target", "drop_by_quick")
            )
            size, seconds = np.mean([(item.size_at_target, item.cpu_seconds) for item in own], axis=0)
            lines.append(
                f"| {title} | {len(own)} | {volume} | {drop} ({first}) | {size:.1f}x smaller | {seconds:.0f} |"
            )
    joint, alone = ({item.seed: item for item in figures if item.learners == title} for title in LEARNERS)
    seeds = sorted(joint.keys() & alone.keys())
    if len(seeds) > 1:
        volumes = [joint[seed].hypervolume - alone[seed].hypervolume for seed in seeds]
        drops = [joint[seed].drop_at_target - alone[seed].drop_at_target for seed in seeds]
        volume, drop = (
            f"{np.mean(found):+.3f} ± {np.std(found, ddof=1) / len(seeds) ** 0.5:.3f}" for found in (volumes, drops)
        )
        lines.append(f"| the first less the second | {len(seeds)} | {volume} | {drop} | | |")
    return lines


def main(models: Sequence[str]) -> None:
    """Runs both ways on each model; a run that is cut short goes on where it was."""
    torch.set_num_threads(1)
    for model in models or MODELS:
        parts = Parts(f"macs-{model}")
        home = Home(parts.folder / "home")
        figures: list[dict[str, str | float]] = []
        for seed in SEEDS:
            for title in LEARNERS:
                name = f"{title.replace(' ', '-')}-{seed}"
                figures.append(parts.get(name, partial(_document, model, title, seed, home)))
                print(f"{model} {figures[-1]}", file=sys.stderr)
        document = {
            "command": f"python -m benchmarks.macs {model}",
            "date": time.strftime("%Y-%m-%d"),
            "figures": figures,
        }
        (RESULTS / f"macs-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
        write_tables(RESULTS)
        parts.remove()
    print((RESULTS / "macs.md").read_text())


if __name__ == "__main__":
    main(sys.argv[1:])
