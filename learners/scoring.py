"""Quick scores as a task for workers: what they need travels as a path, names and arrays."""

from __future__ import annotations

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
from storage.records.config import DEFAULT_IMAGES


@dataclass(frozen=True, eq=False)
class ScoreTask:
    """Scores candidates of a library, which are its jobs; they should come in the scorer's visiting order."""

    path: Path  # of the library, which every worker maps into its memory
    library: str  # its id
    learners: tuple[str, ...]
    options: LearnerOptions
    images: Subset
    metric: str | None  # as the study file names it

    def open(self) -> ScoreRunner:
        """See `Task.open`."""
        library = Library(self.path, self.library, in_order(self.learners, self.options))
        metric = resolve_metric(self.metric, labelled=self.images.labels is not None)
        return ScoreRunner(QuickScorer(library, self.images, metric))

    @property
    def patience(self) -> float:
        """As for a quick score, by the number of images: the metric may be the user's, and hang."""
        return max(1.0, len(self.images) / DEFAULT_IMAGES)

    @property
    def threads(self) -> None:
        """The scorer keeps what neighbours share."""


class ScoreRunner:
    """See `Runner`."""

    def __init__(self, scorer: QuickScorer) -> None:
        self._scorer = scorer

    def run(self, jobs: Sequence[Candidate]) -> Iterator[QuickScore]:
        """The score of each candidate, in order."""
        return self._scorer.visit(jobs)
