"""The certificate of a study that is over, for the command line and for Python."""

from __future__ import annotations

from dashboards.certificate import CertificateView, certificate_view
from dashboards.status import shown_state
from dashboards.study import read_study
from searcher.progress import Progress
from searcher.trust import check_trusted
from storage.errors import StudyStateError
from storage.files import file_lock
from storage.home import Home
from storage.located import located
from storage.records.config import StudyConfig
from storage.records.study import StudyState
from storage.store import StudyStore


def certify_finished(
    store: StudyStore, home: Home, name: str, progress: Progress, again: bool = False, trusts_code: bool = False
) -> CertificateView:
    """Compares a study's finalists with the dense model on its test split; the stored certificate where there is one,
    unless the split is to be looked at `again`.

    Raises NotFoundError for a study that is not there; StudyStateError, a FixInputError, for one that is not over;
    FixInputError for code that is not trusted, and without `max_drop`, test split or files; UsedSplitError where the
    test split was used before.
    """
    study = store.study(name)
    state = shown_state(study, home, store.now())
    if state != StudyState.SUCCEEDED:
        remedy = (
            "wait for its end" if state in (StudyState.RUNNING, StudyState.QUEUED) else f"`slimfront resume {name}`"
        )
        raise StudyStateError(f"study {name} is {state}, and only what has succeeded can be certified: {remedy} first")
    check_trusted(study, trusts_code)
    from searcher.certify import certify_study
    from searcher.controller import LOCK_SECONDS

    home.prepare()
    config = located(StudyConfig.from_json(study.config_json), home)
    with file_lock(
        home.locks / f"{name}.lock", seconds=LOCK_SECONDS, holds=f"study {name}"
    ):  # two looks at once, or a resume
        certify_study(store, home, name, config, progress, again)
    view = certificate_view(read_study(store, name))
    assert view is not None
    return view
