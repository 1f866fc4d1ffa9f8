"""Studies of the store, for Python."""

from __future__ import annotations

from dashboards.studies import StudyLine, study_lines
from slimfront.cli.session import opened
from slimfront.result import StudyResult, read_result


def load_study(name: str, store: str | None = None) -> StudyResult:
    """A study of the store, running or not, as it stands now; `compress` returns the same.

    `store` is the URL of another database than the one that SLIMFRONT_STORE or SLIMFRONT_HOME name. NotFoundError if
    there is no such study.
    """
    with opened(store) as (home, studies):
        return read_result(studies, home, name)


def list_studies(store: str | None = None) -> tuple[StudyLine, ...]:
    """A line for each study of the store, the oldest first; `store` as in `load_study`."""
    with opened(store) as (home, studies):
        return study_lines(studies, home)
