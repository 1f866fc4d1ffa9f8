"""The process that runs one study for a loop."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from searcher.service.order import Order

STOP_SECONDS = 10.0  # that it has to end when it is asked to
READ_SECONDS = 2.0  # for its last lines, where something that it has started has its stderr still open
ERROR = "error: "  # how the line begins that says why it ends


class StudyProcess:
    """A context: the process is gone when it ends, with what it has started in its session. It ends with us, too: the
    end of its stdin tells it."""

    def __init__(self, order: Order, command: Sequence[str], line: Callable[[str], None]) -> None:
        """`line` is called for each line of its stderr, from another thread."""
        self.error: str | None = None  # why it says that it has ended
        self._order = order
        self._command = command
        self._line = line

    def __enter__(self) -> StudyProcess:
        self._process = subprocess.Popen(
            list(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us, who pass it on
        )
        self._reader = threading.Thread(target=self._read, name="slimfront-study-log", daemon=True)
        self._reader.start()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has died at once
            self._process.stdin.write(self._order.to_line())
            self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
        self._end_session()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        # Not closed, which would wait for whoever still writes to it: the thread does so at its end.
        self._reader.join(READ_SECONDS)

    @property
    def code(self) -> int | None:
        """How it has ended: an exit code, or the number of a signal, negative."""
        return self._process.poll()

    def ended(self, seconds: float) -> bool:
        """Waits for its end, so long at most."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Asks it to end, and makes it do so after a while."""
        self._process.terminate()
        if not self.ended(STOP_SECONDS):
            self.kill()

    def kill(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()

    def _end_session(self) -> None:
        """Ends what it has started and left."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for text in lines:
                line = text.rstrip()
                if line.startswith(ERROR):
                    self.error = line.removeprefix(ERROR)
                self._line(line)
