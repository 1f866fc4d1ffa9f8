"""A Ray of our own on this machine: on loopback, with a token, without dashboard, and gone when we are."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from ipaddress import ip_address
from typing import Any

from learners.pool import ray_reaper
from learners.pool.actor import TEMPORARY
from learners.pool.ray_folder import SessionFolder, remove_left
from learners.pool.wire import deregister_tensors, register_tensors
from storage.errors import GiveUpError, NoWorkersError, SlimfrontError

END_SECONDS = 10.0  # that a daemon has to end
# It draws ports before it listens on them, so that another's daemons may have taken them, and waits half a minute for
# daemons, which a busy machine may exceed: both may go well the next time.
STARTS = 2
# Of the object store. The library is memory-mapped by every worker; images for which there is no room go to a file in
# Ray's folder.
STORE_BYTES = 2**28
INLINE = "--inline (workers=1 in Python)"  # errors reach users of both
REMEDY = f"run with {INLINE}, which needs no Ray and gives the same front"
# Ray reads these when it is imported or started; its daemons and workers inherit them.
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # the name misleads: 0 keeps every port on loopback, on Linux as well
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": r"[\s\S]*",  # what daemons say of workers' deaths would end up on the terminal
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # workers without a GPU leave CUDA_VISIBLE_DEVICES as it is
    "RAY_LOG_TO_STDERR": "0",  # but to files, in the session's folder
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "OMP_NUM_THREADS": "1",  # two threads in each of two workers have an eighth of the throughput of one
}
LISTENS = "ENABLE_RAY_CLUSTER"  # what Ray makes of the variable about Windows and OSX when it is imported


class LocalCluster:
    """Starts and stops Ray's daemons, which are children of this process: the kernel ends them if it is killed."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._started = False  # ours, and no other: Ray is one for a process
        self._complete = False  # all of it has started, and Ray knows its daemons
        self._folder: SessionFolder | None = None
        self._before: dict[str, str | None] = {}
        self._reaper: subprocess.Popen[str] | None = None

    @property
    def place(self) -> str:
        """The folder with all its files, while it runs."""
        return "" if self._folder is None else str(self._folder.path)

    def start(self) -> None:
        """GiveUpError if this process cannot have a Ray of ours; NoWorkersError, with the reason, if Ray is not
        installed or does not start.

        Whatever ends it early, Ctrl-C as well, leaves nothing behind.
        """
        if threading.current_thread() is not threading.main_thread():
            # The kernel ends the daemons with the thread that has started them.
            raise GiveUpError(f"Ray can be started by the main thread alone: {REMEDY}")
        if _in_use():
            raise GiveUpError(f"this process uses Ray already: {REMEDY}")
        if _is_set_otherwise():
            raise GiveUpError(
                "this process has imported ray, which reads its settings then, before Slimfront has made them "
                f"(loopback alone, a token): import it afterwards, or {REMEDY}"
            )
        for left in reversed(range(STARTS)):
            try:
                self._start()
                return
            except SystemExit as error:  # Ray's answer to SIGTERM while it starts
                self.stop()
                raise KeyboardInterrupt from error
            except ImportError as error:
                self.stop()
                text = f"Ray is not usable here ({error}): pip install 'ray>=2.55', or {REMEDY}"
                raise NoWorkersError(text) from error
            except SlimfrontError:  # what has ended the study meanwhile
                self.stop()
                raise
            except Exception as error:
                text = " ".join(str(error).split()) or type(error).__name__
                with suppress(Exception):  # of what has half started; the reaper ends the rest with us
                    self.stop()
                if not left:
                    raise NoWorkersError(f"Ray cannot start ({text}): {REMEDY}") from error
            except BaseException:  # Ctrl-C
                self.stop()
                raise

    def _start(self) -> None:
        remove_left()
        self._folder = SessionFolder()
        self._reaper = _start_reaper(self._folder)
        self._set_environment({**ENVIRONMENT, "RAY_AUTH_TOKEN": _token(), TEMPORARY: self.place})
        with our_handlers():
            import ray

            self._started = True  # in parts, if it fails
            ray.init(
                address="local",
                num_cpus=self._workers,
                num_gpus=None,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                configure_logging=True,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
                _temp_dir=str(self._folder.path),
            )
        self._complete = True
        register_tensors()
        host, _, _ = ray.get_runtime_context().gcs_address.rpartition(":")
        if not ip_address(host).is_loopback:
            raise RuntimeError("it listens on more than loopback")

    def stop(self) -> None:
        """Ends the daemons and removes what they have written; harmless when they do not run, or are another's.

        Where it is interrupted, the next call goes on with it.
        """
        try:
            if self._started:
                self._end_ray()
        finally:
            for name, value in self._before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._before = {}
            if self._folder is not None:
                folder, self._folder = self._folder, None
                folder.remove()
            if self._reaper is not None:
                self._reaper.communicate()
                self._reaper = None

    def _end_ray(self) -> None:
        import ray

        daemons = _daemons(ray)
        if self._complete:
            deregister_tensors()
        with our_handlers():
            ray.shutdown()
        for daemon in daemons:  # which Ray has told to end, but not waited for
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(END_SECONDS)
        if not self._complete and self._folder is not None:
            _end_unknown(self._folder)
        self._started = self._complete = False

    def _set_environment(self, wanted: dict[str, str]) -> None:
        self._before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)


def _in_use() -> bool:
    """Whether this process, or what it runs in, has a Ray that is not ours to stop."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _is_set_otherwise() -> bool:
    """Whether Ray was imported without our variables: it would leave loopback, and know no token."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(getattr(ray._private.ray_constants, LISTENS, False))


@cache
def _token() -> str:
    """The secret of this process's clusters; one for all of them, as Ray reads it once."""
    return secrets.token_hex(32)


def _start_reaper(folder: SessionFolder) -> subprocess.Popen[str]:
    """Waits for our end, however it comes; until its own the folder is locked."""
    return subprocess.Popen(
        [sys.executable, "-m", ray_reaper.__name__, str(folder.path)],
        start_new_session=True,  # what kills our group leaves it: it then sees our end
        stdin=subprocess.PIPE,
        text=True,
        pass_fds=(folder.lock,),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _daemons(ray: Any) -> list[subprocess.Popen[bytes]]:
    """The processes that Ray has started from this one; Ray has no public list of them."""
    node = getattr(ray._private.worker, "_global_node", None)
    kinds = getattr(node, "all_processes", {})
    return [item.process for items in kinds.values() for item in items]


def _end_unknown(folder: SessionFolder) -> None:
    """Ends the daemons of a start that was cut short: Ray keeps no list of them, and ends them with this process."""
    for _ in range(ray_reaper.LOOKS):
        found = [number for number in ray_reaper.writers(folder.path.resolve()) if number != os.getpid()]
        for number in found:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            with suppress(ChildProcessError):  # one that a daemon has started
                os.waitpid(number, 0)
        if not found:
            return


@contextmanager
def our_handlers() -> Iterator[None]:
    """Keeps the handlers of signals and exceptions that are there: Ray puts its own in their place."""
    hook = sys.excepthook
    before: dict[signal.Signals, Callable[..., object] | int | None] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        sys.excepthook = hook
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
