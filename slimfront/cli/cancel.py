"""`slimfront cancel`."""

from __future__ import annotations

import time

from slimfront.cli.options import StoreUrl, StudyName
from slimfront.cli.output import note
from slimfront.cli.session import opened

WAIT_SECONDS = 9.5  # after which the study is cancelled whether its process answers or not
POLL_SECONDS = 0.2


def cancel(study: StudyName, store: StoreUrl = None) -> None:
    """End a study that is queued or runs, within ten seconds; what it has found is kept."""
    with opened(store) as (home, studies):
        from storage.liveness import release_dead
        from storage.records.study import StudyState

        release_dead(studies, home, studies.study(study))
        found = studies.cancel(study)
        until = time.monotonic() + WAIT_SECONDS
        while found.state is StudyState.CANCELLING and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
            found = studies.study(study)
        if found.state is StudyState.CANCELLING:
            # Its lease goes with that: whatever its process still does, it can write nothing more.
            found = studies.update_study(study, state=StudyState.CANCELLED)
    if found.state is StudyState.SUCCEEDED:
        note(f"study {study} has succeeded before it could be cancelled: `slimfront front {study}` shows its result")
        return
    note(f"study {study} is {found.state} and keeps what it has found: `slimfront resume {study}` goes on with it")
