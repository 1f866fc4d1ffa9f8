"""Whether those who run studies live: by the locks of this home for its own processes, by their leases for others."""

from __future__ import annotations

import os

from storage.errors import FixInputError, LeaseLostError, NotFoundError, StoreLockedError
from storage.files import file_lock
from storage.home import Home
from storage.records.lease import Lease, place_of, process_number
from storage.records.study import Study
from storage.store import StudyStore


def is_held(name: str, home: Home) -> bool:
    """Whether a process of this home is running the study."""
    path = home.locks / f"{name}.lock"
    if not path.exists():
        return False
    try:
        with file_lock(path, wait=False):
            return False
    except StoreLockedError:
        return True
    except FixInputError:  # another user's lock: not ours to try
        return True


def is_alive(study: Study, home: Home, now: float) -> bool:
    """Whether somebody runs the study at that time of its store's clock."""
    if study.owner is None:  # of an earlier version
        return is_held(study.name, home)
    if place_of(study.owner) != home.place or not study.is_leased(now):
        return study.is_leased(now)
    return _is_running(process_number(study.owner)) or is_held(study.name, home)


def release_dead(store: StudyStore, home: Home, study: Study) -> None:
    """Lets the lease of a study run out at once whose owner was a process of this home and is gone."""
    if study.owner is None or place_of(study.owner) != home.place or not study.is_leased(store.now()):
        return
    process = process_number(study.owner)
    # One that has not got its lock yet lives all the same. We ourselves take the lock first.
    if (process == os.getpid() or not _is_running(process)) and not is_held(study.name, home):
        try:
            store.renew(Lease(study.name, study.owner, study.attempt, 0.0), study.progress)
        except (LeaseLostError, NotFoundError):  # somebody was faster, or has deleted it
            return


def _is_running(process: int) -> bool:
    """Whether there is a process of that number on this machine; it may be a later one."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return process > 0
