"""Keeps a solver's chatter off the terminal."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STDOUT = 1
CHATTER = b"HighsMipSolverData::"  # how the lines begin that HiGHS prints whatever its log level

_LOCK = threading.Lock()


@contextmanager
def without_chatter() -> Iterator[None]:
    """Takes the lines off stdout that HiGHS 1.12 prints in passing; one thread at a time.

    Its log level does not reach them (github.com/jump-dev/HiGHS.jl/issues/312). The descriptor is one for the whole
    process: what another thread prints meanwhile comes out when the block ends.
    """
    with _LOCK:
        try:
            before = os.dup(STDOUT)
        except OSError:  # a process without stdout
            yield
            return
        if sys.stdout is not None:
            sys.stdout.flush()
        _flush()
        with tempfile.TemporaryFile() as held:
            try:
                os.dup2(held.fileno(), STDOUT)
                yield
            finally:
                _flush()
                os.dup2(before, STDOUT)
                os.close(before)
                held.seek(0)
                kept = b"".join(line for line in held if not line.startswith(CHATTER))
                if kept:
                    os.write(STDOUT, kept)


def _flush() -> None:
    """Has the C library write what it holds back."""
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
