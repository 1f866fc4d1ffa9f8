"""Files and folders that are whole or absent, whatever kills the writer; locks that die with their holder."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from storage.errors import DiskFullError, FixInputError, GiveUpError, SlimfrontError, StoreLockedError

# EFBIG is the process's own limit, EDQUOT the user's share: the remedy is to free space or raise them.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_PATH = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOENT})
_CHUNK_BYTES = 1 << 20  # large enough that hashing, not reading, is what takes the time
LEAST_FREE_BYTES = 50_000_000  # what a study writes between two looks: files of a stage, the database's log
_RANDOM_BYTES = 8  # enough that two writers never meet
_UNFINISHED = "part"  # suffix of a folder that is being written
_REPLACED = "old"  # suffix of a folder that has just been replaced


def describe_os_error(error: OSError, path: Path) -> SlimfrontError:
    """What the user has to do about `error`, which arose while `path` was being written."""
    if error.errno in _FULL:
        return DiskFullError(f"no space is left to write {path}: free some, then try again")
    if error.errno in _REFUSED:
        return FixInputError(f"{path} may not be written: change its permissions, or choose another folder")
    if error.errno in _BAD_PATH:
        return FixInputError(f"{path} cannot be written ({os.strerror(error.errno or 0)}): choose another path")
    return GiveUpError(f"{path} could not be written ({error.strerror or error}): check the disk, then try again")


def is_writable(path: Path) -> bool:
    """Whether this process may write `path`, which exists. Also false on a file system mounted read-only."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def check_space(path: Path) -> None:
    """DiskFullError if less than LEAST_FREE_BYTES are free where `path`, a folder, lies."""
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE_BYTES:
        raise DiskFullError(
            f"{free / 1e6:.0f} MB are free in {path}, {LEAST_FREE_BYTES / 1e6:.0f} MB are needed to go on: free some, "
            "then resume"
        )


def make_folder(path: Path) -> Path:
    """Create `path` and its parents where they are missing and return it.

    Raises FixInputError if that is not permitted or a file is in the way, DiskFullError if no space is left.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise describe_os_error(error, path) from error
    return path


def atomic_write(path: Path, content: bytes) -> None:
    """Put `content` into the file `path`, durably: after a crash it holds the old bytes or the new ones.

    A killed writer can leave a hidden `.tmp` file, which nothing reads. Raises DiskFullError, FixInputError
    (not permitted, a folder in the way) or GiveUpError; the old file is then as it was.
    """
    make_folder(path.parent)
    temporary = path.parent / f".{os.urandom(_RANDOM_BYTES).hex()}.tmp"
    try:
        # O_EXCL in place of mkstemp, whose 0600 would keep a team from reading each other's results.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise describe_os_error(error, path) from error
    finally:
        with suppress(OSError):  # it is gone after the rename, and the first error is the one to report
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling folder to fill, which becomes `path` at once when the block ends well.

    Durable when it returns. A folder already at `path` is replaced as a whole. If the block raises, the
    temporary folder goes and `path` stays as it was. Writers of one path wait for each other; whoever comes
    next removes what a killed writer has left.

    Raises DiskFullError, also for a full disk inside the block, and FixInputError where writing is not
    permitted.
    """
    make_folder(path.parent)
    with file_lock(path.parent / f".{path.name}.lock"):
        _remove_leftovers(path)
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=f".{_UNFINISHED}", dir=path.parent))
        except OSError as error:
            raise describe_os_error(error, path) from error
        try:
            try:
                yield temporary
            except OSError as error:
                if error.errno in _FULL:
                    raise describe_os_error(error, path) from error
                raise  # the caller's own: it knows what it was reading
            _move_into_place(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def file_lock(
    path: Path, wait: bool = True, *, seconds: float | None = None, holds: str | None = None
) -> Iterator[None]:
    """Hold the lock file `path`. The operating system lets go of it when the process ends, however it ends.

    `wait` False gives up at once, `seconds` after that time; without them it waits as long as it takes.
    `holds` names what the lock protects in the StoreLockedError. Raises FixInputError where the file may not
    be written.
    """
    make_folder(path.parent)
    timeout = 0.0 if not wait else -1.0 if seconds is None else seconds
    lock = FileLock(path, timeout=timeout)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o644))  # where this fails, filelock would try for ever
        lock.acquire()
    except Timeout as error:
        what = holds if holds is not None else str(path)
        raise StoreLockedError(f"{what} is in use by another process: wait for it to end, or stop it") from error
    except OSError as error:
        raise describe_os_error(error, path) from error
    try:
        yield
    finally:
        lock.release()


def content_hash(*parts: bytes | str | Path) -> str:
    """SHA-256 in hex over `parts` in order; a Path stands for the bytes of its file.

    Files are read piece by piece. Every part is digested on its own together with its type, so that ("ab",
    "c") and ("a", "bc") differ, and so do "a" and b"a". Raises FixInputError if a file cannot be read.
    """
    whole = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            whole.update(b"f" + _file_digest(part))
        elif isinstance(part, str):
            # surrogatepass: file names that are not UTF-8 reach us as lone surrogates
            whole.update(b"s" + hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
        else:
            whole.update(b"b" + hashlib.sha256(part).digest())
    return whole.hexdigest()


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise FixInputError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
    return digest.digest()


def _move_into_place(temporary: Path, path: Path) -> None:
    try:
        # mkdtemp gives 0700; a finished folder has the permissions that mkdir would have given it.
        temporary.chmod(0o777 & ~umask())
        for folder, _, names in os.walk(temporary):
            for file in (Path(folder, name) for name in names):
                if not file.is_symlink():
                    sync(file)
            sync(Path(folder))
        if path.exists():
            # A folder cannot be renamed over a full one. Killed in between, `path` is absent: never half.
            replaced = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=f".{_REPLACED}", dir=path.parent))
            os.replace(path, replaced / path.name)
            try:
                os.replace(temporary, path)
            except OSError:
                os.replace(replaced / path.name, path)
                raise
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise describe_os_error(error, path) from error


def umask() -> int:
    """The process's file mode mask, which can only be read by setting it; harmless, as it is set back at once."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk; a rename is durable only when its folder is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove what killed writers of `path` have left; the caller holds its lock, so that none is at work."""
    # No dot in the random part: the folders of "a.b" are not those of "a", which has another lock.
    ours = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.({_UNFINISHED}|{_REPLACED})")
    for sibling in path.parent.iterdir():
        if ours.fullmatch(sibling.name):
            shutil.rmtree(sibling, ignore_errors=True)
