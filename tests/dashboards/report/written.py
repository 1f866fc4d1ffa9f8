"""Reports of studies in memory, written into files."""

from __future__ import annotations

from pathlib import Path

from dashboards.report.file import WrittenReport, write_report
from dashboards.study import read_study
from storage.home import Home
from storage.store import StudyStore
from tests.dashboards import samples


def written(store: StudyStore, path: Path) -> WrittenReport:
    return write_report(read_study(store, samples.NAME), Home(path.parent / "home"), path)


def text_of(store: StudyStore, folder: Path) -> str:
    return written(store, folder / "report.html").path.read_text()


def finished() -> StudyStore:
    store = samples.new_store()
    samples.analyse(store)
    samples.search(store)
    samples.finish(store)
    return store


def trained() -> StudyStore:
    """A finished study whose finalists were trained."""
    store = finished()
    samples.train(store)
    return store
