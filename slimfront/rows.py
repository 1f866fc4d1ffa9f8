"""The models of a study as Python users hold them: rows of figures that can be loaded and exported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

from dashboards.row import BaselineRow, Row
from slimfront.cli.session import opened_at
from slimfront.progress import watching
from slimfront.table import cells, html_table, row_label, text_table
from storage.artifacts import ArtifactStore
from storage.errors import FixInputError
from storage.home import Home
from storage.records.measurement import Rung

if TYPE_CHECKING:
    import torch

    from objectives.runtimes.packed import PackedSession
    from slimfront.export.folder import ExportedFolder


@dataclass(frozen=True)
class StudyRow(Row):
    """One model of a study: its figures, named as in `slimfront front --json`, and the way to its files."""

    name: str | None  # of a baseline; None for a searched candidate
    study: str
    home: Home = field(repr=False, compare=False)

    @property
    def label(self) -> str:
        """ "17", "113 (from 63)" if it was trained, or "6 uniform w3" for a baseline."""
        return row_label(self, self.name)

    def load(self, threads: int = 1) -> PackedSession:
        """The model as a callable, as `slimfront.load` gives it. FixInputError if it has no `model.slim`."""
        import slimfront

        return slimfront.load(self._file(), threads)

    def load_torch(self) -> torch.nn.Module:
        """The model as a module, as `slimfront.load_torch` gives it. FixInputError if it has no `model.slim`."""
        import slimfront

        return slimfront.load_torch(self._file())

    def export(self, directory: str | Path, progress: bool = False, trust_code: bool = False) -> ExportedFolder:
        """Writes the model's files into a folder, as `slimfront export` does, which is new or an earlier export.

        FixInputError for a folder with other files, for a model without measured files, and without `trust_code` for a
        study that was submitted with code of its user's; GiveUpError if the files
        made now are not those that were measured.
        """
        from slimfront.export.folder import export_candidate

        with opened_at(self.home) as store, watching(progress) as shown:
            return export_candidate(store, self.home, self.study, self.candidate, Path(directory), shown, trust_code)

    def _file(self) -> Path:
        from storage.slim import SLIM_FILE

        path = ArtifactStore(self.home.artifacts).folder(self.study, str(self.candidate)) / SLIM_FILE
        if not path.exists():
            reason = "it was not confirmed yet" if not Rung(self.rung).is_of_file else "another form of it was measured"
            raise FixInputError(
                f"{self.study}/{self.candidate} has no model.slim, as {reason}: choose another row, or export it"
            )
        return path


class Front(Sequence[StudyRow]):
    """Rows in an order, which print as a table, also in notebooks."""

    def __init__(self, rows: Sequence[StudyRow]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> StudyRow: ...

    @overload
    def __getitem__(self, index: slice) -> Front: ...

    def __getitem__(self, index: int | slice) -> StudyRow | Front:
        return Front(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __iter__(self) -> Iterator[StudyRow]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Front) and self._rows == other._rows

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return text_table(self._cells())

    def _repr_html_(self) -> str:
        """The table for notebooks; names are escaped."""
        return html_table(self._cells())

    def _cells(self) -> list[tuple[str, ...]]:
        return [cells(row.label, row) for row in self._rows]


def study_rows(study: str, home: Home, rows: Sequence[Row], baselines: Sequence[BaselineRow]) -> Front:
    """Rows of a view as those of Python users; those of the front that are baselines have their names, too."""
    names = {row.candidate: row.name for row in baselines}
    return Front(
        [StudyRow(**{**vars(row), "name": names.get(row.candidate), "study": study, "home": home}) for row in rows]
    )
