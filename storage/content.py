"""Files that are named by the hash of what they hold: the same content is stored once, and never changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from storage.files import content_hash, describe_os_error, make_folder, sync, umask

HASH_DIGITS = 32  # of SHA-256 in hex: two contents of one user never meet
_RANDOM_BYTES = 8  # enough that two writers never meet


def keep_content(folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
    """`folder`/HASH`suffix`, made by `write`, which is called with the path of a file to make.

    Durable when it returns, and whole or absent whatever kills the writer, who can leave a hidden `.tmp` file that
    nothing reads. A file that is there already stays. Raises DiskFullError, FixInputError (not permitted) or
    GiveUpError.
    """
    make_folder(folder)
    temporary = folder / f".{os.urandom(_RANDOM_BYTES).hex()}.tmp"
    try:
        write(temporary)
        path = folder / f"{content_hash(temporary)[:HASH_DIGITS]}{suffix}"
        if not path.exists():
            temporary.chmod(0o666 & ~umask())  # libraries write 0600, which would keep a team from each other's studies
            sync(temporary)
            os.replace(temporary, path)
            sync(folder)
        else:
            os.utime(path)  # young again: `gc` leaves it to who is about to store a study of it
    except OSError as error:
        raise describe_os_error(error, folder) from error
    finally:
        with suppress(OSError):  # it is gone after the rename, and the first error is the one to report
            temporary.unlink()
    return path
