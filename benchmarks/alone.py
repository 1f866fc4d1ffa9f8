"""`python -m benchmarks.alone [MODEL ...]`: bits and channels searched together beside each learner alone, over seeds.

Writes benchmarks/results/alone-MODEL.json and alone.md. One search is one throw: where it ends depends on its images
and draws, and two throws of one learner alone differ by more than images can tell. Here every way runs from several
seeds, each of which draws the images, too, but those of the library, which is one. It is the study's own search with
its own second score and latency table; its choice for each cost is judged, as stitched weights, on images that no score
has seen. Speeds are compared by `python -m benchmarks`, of files.
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
from scipy import stats

from benchmarks.material import MODELS, RESULTS, config
from benchmarks.parts import Parts
from benchmarks.quick import Silent
from benchmarks.search import HeldOut
from benchmarks.study import best_by
from learners.library.library import Library
from learners.score import QuickScorer
from objectives.hypervolume import ACCURACY_SPAN_POINTS
from objectives.paired import CONFIDENCE
from searcher.contenders import deciding_scores
from searcher.stages.context import Clock, StudyContext
from searcher.stages.latency_table import open_or_measure
from searcher.stages.prepare import Prepared, open_library, prepare
from searcher.stages.quick import search
from searcher.stages.rescore import rescore
from storage.home import Home
from storage.memory import MemoryStore
from storage.records.candidate import Candidate
from storage.records.config import DEFAULT_CANDIDATES, StudyConfig
from storage.records.dense import DenseFacts
from storage.records.measurement import Result
from storage.records.space import CHANNEL, QUANT

SEEDS = (0, 1, 2, 3, 4, 5)
FEWEST_SEEDS = 2  # that tell how far seeds are apart
JOINT = "both"
LEARNERS: Mapping[str, tuple[str, ...]] = {
    JOINT: (CHANNEL, QUANT),
    "bits alone": (QUANT,),
    "channels alone": (CHANNEL,),
}
STEP = 1.1  # from one cost that is looked at to the next: closer ones mostly get the same file


@dataclass(frozen=True)
class Aim:
    """A cost, what is asked of it, and the learners that can do something about it alone."""

    target: str
    cost: str  # as results name it
    most: float  # times less than the dense model, up to which is looked
    beside: tuple[str, ...]


AIMS: Mapping[str, Aim] = {
    "size": Aim("size=10x drop<=1", "size", 20.0, ("bits alone",)),
    "MACs": Aim("macs=1.3x drop<=1", "macs", 3.0, ("channels alone",)),
}


@dataclass(frozen=True)
class Throw:
    """One search."""

    aim: str
    learners: str
    seed: int
    # Points below the dense model on the held-out images, by how many times less the file may cost; where there is one.
    drops: Mapping[str, float]
    cpu_seconds: float  # of the search and the second score


def ratios(aim: Aim) -> list[float]:
    """The costs that are looked at, times less than the dense model."""
    count = int(np.log(aim.most) / np.log(STEP))
    return [round(STEP**step, 2) for step in range(1, count + 1)]


def throw(model: str, aim: str, learners: str, seed: int, home: Home) -> Throw:
    """Runs one search with its second score and judges its choice for each cost."""
    chosen = AIMS[aim]
    settings = _config(model, chosen, LEARNERS[learners])
    # Of one seed, or each one would need a library of its own.
    library = open_library(prepare(settings, Silent()), home, lambda *_: None)
    prepared = prepare(settings.model_copy(update={"seed": seed}), Silent())
    judge = HeldOut(QuickScorer(library, prepared.workload.confirmation, prepared.workload.metric))
    dense = Candidate((0,) * len(library.space.sites), library.id)
    (accuracy,) = judge.accuracies([dense])
    context = _context(prepared, library, home, accuracy)
    started = time.process_time()
    search(context)
    rescore(context)
    seconds = time.process_time() - started
    trials = {trial.number: trial for trial in context.store.trials(context.name)}
    scores = deciding_scores(context.store, context.name)
    searched = [item for item in scores.values() if trials[item.number].baseline is None]
    costs = {item.number: _cost(item, chosen.cost, context.predicted_dense) for item in searched}
    picked: dict[str, Candidate] = {}
    for ratio in ratios(chosen):
        if inside := [item for item in searched if costs[item.number] <= 1 / ratio]:
            picked[f"{ratio:g}"] = trials[best_by(scores, inside).number].candidate
    found = judge.accuracies(list(picked.values()))
    drops = {ratio: accuracy - own for ratio, own in zip(picked, found, strict=True)}
    return Throw(aim, learners, seed, drops, seconds)


def _context(prepared: Prepared, library: Library, home: Home, accuracy: float) -> StudyContext:
    store = MemoryStore()
    store.create_study(prepared.config.name, prepared.config.to_json())
    return StudyContext(
        name=prepared.config.name,
        config=prepared.config,
        store=store,
        home=home,
        workload=prepared.workload,
        library=library,
        dense=DenseFacts(accuracy, prepared.dense_bytes, None, library.analysis.macs),
        progress=Silent(),
        clock=Clock(0.0),
        latency=open_or_measure(library, prepared.config.runtime, home, Silent()),
    )


def _cost(item: Result, cost: str, dense: DenseFacts) -> float:
    """As a share of the dense model's."""
    return item.value(cost) / {"size": dense.size_bytes, "macs": dense.macs}[cost]


def _config(model: str, aim: Aim, learners: tuple[str, ...]) -> StudyConfig:
    found = config(model, model, aim.target)
    changed = found.search.model_copy(update={"learners": learners, "candidates": DEFAULT_CANDIDATES})
    return found.model_copy(update={"search": changed})


@dataclass(frozen=True)
class Gap:
    """By how many points the joint search is worse than one learner alone at a cost; below 0 it is better."""

    ratio: str
    joint: float  # mean drop
    alone: float
    mean: float
    error: float  # of the mean, over seeds

    def is_worse(self, seeds: int, costs: int = 1) -> bool:
        """Beyond what seeds differ by: the one-sided 95 % bound is above 0, by Student's t, for all `costs` together
        (Bonferroni)."""
        return self.mean > self.error * float(stats.t.ppf(1 - (1 - CONFIDENCE) / costs, seeds - 1))


def gaps(joint: Sequence[Throw], alone: Sequence[Throw]) -> list[Gap]:
    """At each cost for which all seeds of both have a file, and one learner alone is within ten points of the dense
    model on average. The throws are of the same seeds, in the same order, and so of the same images."""
    found = []
    for ratio in alone[0].drops:
        if all(ratio in item.drops for item in (*joint, *alone)):
            ours, theirs = (np.array([item.drops[ratio] for item in throws]) for throws in (joint, alone))
            if theirs.mean() <= ACCURACY_SPAN_POINTS:
                own = ours - theirs
                error = float(own.std(ddof=1)) / len(own) ** 0.5
                found.append(Gap(ratio, float(ours.mean()), float(theirs.mean()), float(own.mean()), error))
    return found


def write_tables(folder: Path) -> None:
    """Writes alone.md from every alone-MODEL.json that exists."""
    lines = [
        "# Both learners beside one alone",
        "",
        f"Written by `python -m benchmarks.alone`. {DEFAULT_CANDIDATES} candidates by the default sampler, with a",
        "second score and the latency table, from each seed, which draws the images, too. For each cost, 1.1 times",
        "less than the one before, the candidate that is the best by both scores of those that cost no more, judged",
        "as stitched weights on the images that neither has seen. A gap is by how many points both learners together",
        "are worse than one alone, of the same seed and so of the same images: mean and standard error over seeds.",
        "Worse where the one-sided 95 % bound of the mean (Student's t) is above 0, which of 20 costs one is by",
        "chance; in brackets for all costs of a line together (Bonferroni). All seeds have one library, and their",
        "judging images are most of the same 5,000: the bounds are for this model and its val split. Costs at which",
        "one learner alone loses more than ten points are left out.",
    ]
    for model in MODELS:
        path = folder / f"alone-{model}.json"
        if path.exists():
            document = json.loads(path.read_text())
            throws = [Throw(**item) for item in document["throws"]]
            lines += ["", f"## {model}", "", f"`{document['command']}`, {document['date']}.", *_tables(throws)]
    (folder / "alone.md").write_text("\n".join(lines) + "\n")


def _tables(throws: Sequence[Throw]) -> list[str]:
    summary = [
        "",
        "| by | beside | seeds | costs | worse (of all) | mean gap | largest gap |",
        "|---|---|---|---|---|---|---|",
    ]
    details = []
    for title, aim in AIMS.items():
        for learners in aim.beside:
            joint, alone = _paired(throws, title, learners)
            if len(alone) >= FEWEST_SEEDS and (found := gaps(joint, alone)):
                summary.append(_line(title, learners, found, len(alone)))
                details += _details(title, learners, found)
    return [*summary, *details]


def _paired(throws: Sequence[Throw], aim: str, learners: str) -> tuple[list[Throw], list[Throw]]:
    """The throws of both learners and of one alone from the seeds that both have."""
    joint, alone = (
        {item.seed: item for item in throws if (item.aim, item.learners) == (aim, name)} for name in (JOINT, learners)
    )
    seeds = sorted(joint.keys() & alone.keys())
    return [joint[seed] for seed in seeds], [alone[seed] for seed in seeds]


def _line(title: str, learners: str, found: Sequence[Gap], seeds: int) -> str:
    worse = sum(item.is_worse(seeds) for item in found)
    of_all = sum(item.is_worse(seeds, len(found)) for item in found)
    largest = max(found, key=lambda item: item.mean)
    mean = np.mean([item.mean for item in found])
    return (
        f"| {title} | {learners} | {seeds} | {len(found)} | {worse} ({of_all}) | {mean:+.2f} "
        f"| {largest.mean:+.2f} ± {largest.error:.2f} |"
    )


def _details(title: str, learners: str, found: Sequence[Gap]) -> list[str]:
    return [
        "",
        f"By {title}, beside {learners}:",
        "",
        f"| times less | drop, both | drop, {learners} | gap |",
        "|---|---|---|---|",
        *(
            f"| {item.ratio} | {item.joint:.2f} | {item.alone:.2f} | {item.mean:+.2f} ± {item.error:.2f} |"
            for item in found
        ),
    ]


def main(models: Sequence[str]) -> None:
    """Runs all searches on each model, one aim after the other; a run that is cut short goes on where it was."""
    torch.set_num_threads(1)
    for model in models or MODELS:
        parts = Parts(f"alone-{model}")
        home = Home(parts.folder / "home")
        home.prepare()
        throws: list[Throw] = []
        for title, aim in AIMS.items():
            for seed in SEEDS:
                for learners in (JOINT, *aim.beside):
                    name = f"{title}-{learners}-{seed}".replace(" ", "-")
                    measure = partial(_document, model, title, learners, seed, home)
                    throws.append(Throw(**parts.get(name, measure)))
                    print(f"{model} {name} {throws[-1].cpu_seconds:.0f} CPU-s", file=sys.stderr)
                _save(model, throws)
        parts.remove()
    print((RESULTS / "alone.md").read_text())


def _document(model: str, aim: str, learners: str, seed: int, home: Home) -> dict[str, object]:
    return asdict(throw(model, aim, learners, seed, home))


def _save(model: str, throws: Sequence[Throw]) -> None:
    document = {
        "command": f"python -m benchmarks.alone {model}",
        "date": time.strftime("%Y-%m-%d"),
        "throws": [asdict(item) for item in throws],
    }
    (RESULTS / f"alone-{model}.json").write_text(json.dumps(document, indent=1) + "\n")
    write_tables(RESULTS)


if __name__ == "__main__":
    main(sys.argv[1:])
