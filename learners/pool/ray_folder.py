"""The folder of one Ray: a lock in it says whether its owner lives, and who finds it without one removes it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "slimfront-ray-"
LOCK = "slimfront.lock"  # in each folder
# Bytes of a folder's parent: sockets lie deep below it, as in slimfront-ray-12345678/
# session_2026-11-29_09-01-53_123456_1234567/sockets/plasma_store, and their paths may have 107, on macOS 103.
MOST_PATH = 16
SHORT = Path("/tmp")  # noqa: S108  (mkdtemp makes a folder of our own in it)


class SessionFolder:
    """Made here, for this process alone. Who is killed leaves it to the reaper, or to `remove_left` of the next."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
        try:
            self.lock = _hold(self.path)  # its descriptor; the system lets go of it when all who have it are gone
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """With all that is in it; once."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def remove_left() -> None:
    """Removes folders whose owner was killed: they are this user's, and have a lock that nobody holds.

    Whatever else is called like them stays, and so do those of processes in other containers, which cannot be seen.
    """
    for path in _parent().glob(f"{PREFIX}*"):
        try:
            if path.lstat().st_uid != os.getuid():
                continue
            lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # not made here, or gone by now
            continue
        try:
            with suppress(OSError):  # somebody holds it
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _hold(folder: Path) -> int:
    """Makes and locks the lock file of a new folder, under its name only when it is locked: nobody finds it free."""
    new = folder / f"{LOCK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with suppress(OSError):  # a file system without locks: nobody else will remove the folder
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder / LOCK)
    return lock


def _parent() -> Path:
    usual = Path(tempfile.gettempdir())
    return usual if len(os.fsencode(usual)) <= MOST_PATH else SHORT
