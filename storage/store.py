"""What a store of studies does, whatever it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import Protocol

from storage.queue import StudyQueue
from storage.records.candidate import Proposal, Trial
from storage.records.lease import Submission
from storage.records.look import Look
from storage.records.measurement import Result, Rung
from storage.records.study import Analysis, Event, FrontRow, Study, StudyState
from storage.records.timing import Timing


class StudyStore(StudyQueue, Protocol):
    """Remembers studies; takes and returns records, never live rows.

    Who calls what, in order:

    1. Whoever submits a study calls `create_study`; the study is durable when that returns.
    2. Its controller takes a lease of it, which sets it running (see StudyQueue), and calls `update_study` for
       stages, seconds and the end, which gives the lease back.
    3. It calls `save_analysis` once the model has been analysed.
    4. For every batch, `add_trials` before a candidate is dispatched, then `record` or `record_batch` with
       what came back, together with the new front, or `fail_trial`.
    5. Whoever certifies a candidate calls `look` before the first image of the test split is evaluated.
    6. After a crash it repeats from 2: every write that it cannot know to have landed may be repeated without
       harm.

    The CLI and the pages only read: `study`, `studies`, `analysis`, `trials`, `results`, `front`, `events`,
    `looks`. A read sees one moment of the study. Each write is one transaction and writes its event in it.

    Every method that takes a study's name raises NotFoundError if there is none. All of them raise
    StoreLockedError if another process holds the store for too long, and GiveUpError if the disk fails;
    writes also DiskFullError, and FixInputError on a store that may only be read.
    """

    def create_study(self, name: str, config_json: str, submission: Submission | None = None) -> Study:
        """A new study, queued, at stage "new"; without a submission it is not in the queue, and for its maker to run.
        StudyExistsError if the name is taken.

        With a key that was used before: the study of then if the name, the configuration and the workload are the same,
        else FixInputError.
        """
        ...

    def study(self, name: str) -> Study:
        """The study of that name. NotFoundError names up to five that are alike, or that there are."""
        ...

    def studies(self) -> tuple[Study, ...]:
        """All studies, the oldest first."""
        ...

    def delete_study(self, name: str) -> None:
        """Remove the study and everything recorded of it; its artifact files are the caller's. StoreLockedError while a
        lease of it holds."""
        ...

    def extend_study(self, name: str, old_json: str, config_json: str, text: str, data: str) -> Study:
        """The study with another configuration, one that asks for more, interrupted: whoever runs it goes on.

        The speeds of its front are forgotten: those of another session do not compare with them. `text` and `data` are
        of the event, of kind EXTENDED. StoreLockedError as in `delete_study`; StoreConflictError where `old_json` is
        not its configuration any more.
        """
        ...

    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        stage: str | None = None,
        seconds: float | None = None,
        error: str | EllipsisType | None = ...,
        attempt: int | None = None,
    ) -> Study:
        """Change what is given and return the study as it is now. `error=None` clears the error, `...` leaves
        it.

        StudyStateError if the study may not go from its state to `state` (see storage.rules.TRANSITIONS).
        """
        ...

    def save_analysis(self, name: str, analysis: Analysis) -> None:
        """Stored once; the same again is without effect, another one a StoreConflictError."""
        ...

    def analysis(self, name: str) -> Analysis | None:
        """What `save_analysis` stored, or None before."""
        ...

    def add_trials(self, name: str, first_number: int, proposals: Sequence[Proposal]) -> tuple[Trial, ...]:
        """Store `proposals` under the numbers from `first_number` on and return them as they are stored.

        Numbers start at 1 and leave no gap (ValueError). Those that are stored already stay as they are if
        the proposal is the same; if one is not, StoreConflictError, and none is stored.
        """
        ...

    def trials(self, name: str) -> tuple[Trial, ...]:
        """All trials by number."""
        ...

    def record(
        self, name: str, result: Result, front: Sequence[FrontRow] | None = None, seconds: float | None = None
    ) -> None:
        """`record_batch` of one result."""
        ...

    def record_batch(
        self,
        name: str,
        results: Sequence[Result],
        front: Sequence[FrontRow] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Store results with their measurements and, if given, the whole new front and the seconds that the study has
        taken: all of it or nothing.

        Idempotent by (study, number, rung): the first result stays. A call of which nothing is new leaves the
        front and the seconds alone too, so that a late repetition cannot bring an old front back; a call without
        results sets them. NotFoundError for a trial that is not stored; ValueError for a measurement twice in a
        result, a NaN interval, seconds that are no time, or a front that is not numbered from 0, names a trial
        twice or a result that is not stored.
        """
        ...

    def fail_trial(self, name: str, number: int, error: str) -> None:
        """Note why the evaluation of a trial failed; the last reason stays. NotFoundError for no trial."""
        ...

    def results(self, name: str, rung: Rung | None = None) -> tuple[Result, ...]:
        """The results at `rung`, or at all rungs, by number and then by rung."""
        ...

    def front(self, name: str) -> tuple[FrontRow, ...]:
        """The current front by position."""
        ...

    def add_timing(self, name: str, timing: Timing) -> None:
        """Store a timing behind those that are there. NotFoundError for a row whose trial is not stored; ValueError
        for no rows, or for two of one trial."""
        ...

    def timings(self, name: str) -> tuple[Timing, ...]:
        """All timings, oldest first; the rows of each by trial number."""
        ...

    def look(self, name: str, split: str, images: int, again: bool = False) -> Look:
        """Note, before anything is evaluated, that a study looks at `images` images of a test split; `split` is its
        content hash.

        Without `again` a study that has looked there gets its newest look, and nothing is written: one that is resumed
        looks once. A new look forgets the results at rung TESTED, which are of the one before, perhaps of other images.
        UsedSplitError, without `again`, if another study has looked there, also one that was deleted. With
        `again` it is always one more look.
        """
        ...

    def looks(self, split: str) -> tuple[Look, ...]:
        """All looks at a test split, oldest first, those of deleted studies too."""
        ...

    def add_event(self, name: str, kind: str, text: str, data: str = "{}") -> Event:
        """Note something that happened; line breaks in `text` become spaces, `data` is a JSON object."""
        ...

    def events(self, name: str, after: int = 0) -> tuple[Event, ...]:
        """The events with numbers above `after`, oldest first."""
        ...

    def close(self) -> None:
        """Let go of files and connections. The store must not be used afterwards."""
        ...
