"""What a study has found, as Python users hold it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards.certificate import CertificateView, certificate_view
from dashboards.front import DenseRow, FrontView, front_view
from dashboards.study import StudyData, read_study
from objectives.targets import explain, meets, rank_key
from slimfront.cli.front_table import dense_line, print_front, verdict
from slimfront.cli.session import opened_at
from slimfront.progress import watching
from slimfront.rows import Front, StudyRow, study_rows
from slimfront.target import TargetLike, read_target
from storage.errors import FixInputError, NotFoundError
from storage.home import Home
from storage.records.target import Objective, Target
from storage.store import StudyStore

if TYPE_CHECKING:  # figures alone need it
    import plotly.graph_objects as go

    from slimfront.export.folder import ExportedFolder

TEXT_COLUMNS = 99  # below what the terminal's wide table needs
NEAREST = 3  # as many as the command line names


class StudyResult:
    """A study at the moment when it was read; `slimfront.load_study` reads it again.

    Prints as `slimfront front` does, in notebooks as a table.
    """

    def __init__(self, data: StudyData, home: Home) -> None:
        self._data = data
        self._home = home

    @cached_property
    def _view(self) -> FrontView:
        return front_view(self._data, self._home)

    @property
    def name(self) -> str:
        """The study's name, which `slimfront resume`, `show`, `report` and others take."""
        return self._view.study

    @property
    def state(self) -> str:
        """ "succeeded" once it is over; "running", "interrupted", "failed", "queued" before."""
        return self._view.state

    @property
    def target(self) -> Target:
        """What was asked for."""
        return self._data.target

    @property
    def target_met(self) -> bool:
        """Whether any model of the front meets the target."""
        return self._view.target_met

    @property
    def dense(self) -> DenseRow:
        """The dense model; its figures are None before it has been measured."""
        return self._view.dense

    @cached_property
    def front(self) -> Front:
        """The models that no other beats, the most accurate first."""
        return study_rows(self.name, self._home, self._view.front, self._view.baselines)

    @cached_property
    def baselines(self) -> Front:
        """The models that the search had to beat; one that is on the front is in both."""
        return study_rows(self.name, self._home, self._view.baselines, self._view.baselines)

    @property
    def seconds(self) -> float:
        """Wall seconds that the study has taken, over all attempts."""
        return self._view.seconds

    def to_dict(self) -> dict[str, Any]:
        """The document of `slimfront front --json`."""
        return self._view.to_dict()

    def best(self, within: TargetLike | None = None) -> StudyRow:
        """The model to take: of those on the front that meet the target, the one that `slimfront front` names first.

        `within` is another target to judge by, such as "size=4x drop<=0.5". NotFoundError if none meets it; the line
        names the nearest.
        """
        target = self.target if within is None else read_target(within)
        ranked = self._ranked(target, self.front)
        if ranked and self._meets(target, ranked[0]):
            return ranked[0]
        wish = ", ".join(f"{key} {value}" for key, value in target.to_dict().items())
        near = self.nearest(1, target)
        if not near:
            raise NotFoundError(f"study {self.name} ({self.state}) has no measured model yet: let it run to its end")
        raise NotFoundError(
            f"no model of study {self.name} meets the target ({wish}); the nearest is candidate "
            f"{near[0].candidate}: {self._explain(target, near[0])}; take it with nearest(), or ask for less"
        )

    def nearest(self, count: int = NEAREST, within: TargetLike | None = None) -> Front:
        """The `count` models, baselines too, that come nearest to the target or to `within`, the best first."""
        target = self.target if within is None else read_target(within)
        rows = {row.candidate: row for row in (*self.baselines, *self.front)}
        return Front(self._ranked(target, list(rows.values()))[:count])

    def candidate(self, number: int) -> StudyRow:
        """A row of the front or of the baselines by its number. NotFoundError names those that there are."""
        rows: dict[int, StudyRow] = {row.candidate: row for row in (*self.baselines, *self.front)}
        if number not in rows:
            known = ", ".join(map(str, sorted(rows))) or "none yet"
            where = f"is neither on the front of study {self.name} nor a baseline"
            raise NotFoundError(f"candidate {number} {where}: choose one of {known}")
        return rows[number]

    def plot(self, against: Objective = "size") -> go.Figure:
        """Accuracy against "size", "latency" or "macs" as a Plotly figure: front, baselines, everything scored, target.

        FixInputError for another word, and for a cost that is not known of any model.
        """
        from slimfront.plot import front_plot

        return front_plot(self._data, against)

    @cached_property
    def certificate(self) -> CertificateView | None:
        """What the test split has shown; None where the study has no certificate. Prints as sentences."""
        return certificate_view(self._data)

    def certify(self, again: bool = False, progress: bool = False, trust_code: bool = False) -> CertificateView:
        """Compares the finalists with the dense model on the test split, as `slimfront certify` does: once, unless
        `again` says otherwise. The rows of this result stay as they were read.

        FixInputError for a study that has not succeeded, for one without `max_drop` or test split, and without
        `trust_code` for one that was submitted with code of its user's; UsedSplitError where the split was used before.
        """
        from slimfront.certification import certify_finished

        with opened_at(self._home) as store, watching(progress) as shown:
            return certify_finished(store, self._home, self.name, shown, again, trust_code)

    def export(self, directory: str | Path, candidate: int | None = None, progress: bool = False) -> ExportedFolder:
        """Writes the files of a model, of `best()` where none is named; see `StudyRow.export`."""
        row = self.best() if candidate is None else self.candidate(candidate)
        return row.export(directory, progress)

    def __repr__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        print_front(Console(file=text, width=TEXT_COLUMNS, highlight=False, color_system=None), self._view, self._data)
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        """Dense model, front and verdict for notebooks; names are escaped."""
        lines = [dense_line(self._view).plain]
        after = [line.plain for line in verdict(self._view, self._data)] if self.front else ["nothing is measured yet"]
        shown = "".join(f"<p>{escape(line)}</p>" for line in lines)
        return f"{shown}{self.front._repr_html_()}<p>{'<br>'.join(map(escape, after))}</p>"

    def _ranked(self, target: Target, rows: Sequence[StudyRow]) -> list[StudyRow]:
        dense = self._data.dense
        if dense is None:
            return []
        keyed = [
            ((*rank_key(target, figures, dense), float(row.candidate)), row)
            for row in rows
            if (figures := row.figures()) is not None
        ]
        return [row for _, row in sorted(keyed, key=lambda pair: pair[0])]

    def _meets(self, target: Target, row: StudyRow) -> bool:
        figures, dense = row.figures(), self._data.dense
        return figures is not None and dense is not None and meets(target, figures, dense)

    def _explain(self, target: Target, row: StudyRow) -> str:
        figures, dense = row.figures(), self._data.dense
        assert figures is not None
        assert dense is not None
        return explain(target, figures, dense)


def read_result(store: StudyStore, home: Home, name: str) -> StudyResult:
    """The study of that name. NotFoundError if there is none; FixInputError for a name that is no string."""
    if not isinstance(name, str):
        raise FixInputError(f"a study's name is a string, not a {type(name).__name__}: `slimfront list` shows them")
    return StudyResult(read_study(store, name), home)
