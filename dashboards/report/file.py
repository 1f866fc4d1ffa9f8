"""Writes the report into a file, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dashboards.report.page import GENERATOR, report_page
from dashboards.report.view import report_view
from dashboards.study import StudyData
from storage.errors import FixInputError
from storage.files import atomic_write, describe_os_error
from storage.home import Home

HEAD_BYTES = 1000  # of a file, in which a report says that it is one


@dataclass(frozen=True)
class WrittenReport:
    """What has been written."""

    path: Path
    size_bytes: int
    replaced: bool  # an earlier report lay there


def write_report(data: StudyData, home: Home, path: Path) -> WrittenReport:
    """Writes the report of a study into `path`, which is new or holds an earlier report.

    Raises FixInputError for a path that holds something else or cannot be written, and for a study without results.
    """
    path = path.expanduser().absolute()
    replaced = _holds_report(path)
    content = report_page(report_view(data, home)).encode()
    atomic_write(path, content)
    return WrittenReport(path, len(content), replaced)


def _holds_report(path: Path) -> bool:
    """Whether an earlier report lies there. FixInputError if something else does."""
    if path.is_dir():
        raise FixInputError(f"{path} is a folder: name a file in it, such as {path / 'report.html'}")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise describe_os_error(error, path) from error
    if GENERATOR.encode() not in head:
        raise FixInputError(f"{path} is no report of Slimfront: choose a new file, or delete this one")
    return True
