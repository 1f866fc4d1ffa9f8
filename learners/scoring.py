"""Quick scores as a task for workers: what they need travels as a path, names and arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from learners.base import LearnerOptions
from learners.library.library import Library
from learners.score import QuickScore, QuickScorer
from learners.table import in_order
from objectives.metric import resolve_metric
from objectives.workload.subsets import Subset
from storage.records.candidate import Candidate


@dataclass(frozen=True)
class ScoreJob:
    """One candidate on one block of images."""

    candidate: Candidate
    block: int = 0


@dataclass(frozen=True, eq=False)
class ScoreTask:
    """Scores candidates of a library on blocks of images. Jobs should come in the scorer's visiting order."""

    path: Path  # of the library, which every worker maps into its memory
    library: str  # its id
    learners: tuple[str, ...]
    options: LearnerOptions
    blocks: tuple[Subset, ...]
    metric: str | None  # as the study file names it

    def open(self) -> ScoreRunner:
        """See `Task.open`."""
        library = Library(self.path, self.library, in_order(self.learners, self.options))
        metric = resolve_metric(self.metric, labelled=self.blocks[0].labels is not None)
        return ScoreRunner(QuickScorer(library, self.blocks, metric))


class ScoreRunner:
    """See `Runner`."""

    def __init__(self, scorer: QuickScorer) -> None:
        self._scorer = scorer

    def run(self, jobs: Sequence[ScoreJob]) -> Iterator[QuickScore]:
        """The score of each job, in order."""
        for block, group in itertools.groupby(jobs, lambda job: job.block):
            yield from self._scorer.visit([job.candidate for job in group], block)
