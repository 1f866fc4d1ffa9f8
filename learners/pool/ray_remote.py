"""A Ray that runs already, on this machine or many: joined by its address, and left as it is."""

from __future__ import annotations

import logging
import socket
import sys

from learners.pool.ray_cluster import REMEDY, our_handlers
from learners.pool.wire import deregister_tensors, register_tensors
from storage.errors import GiveUpError, NoWorkersError

KNOCK_SECONDS = 10.0
NEEDS = (
    "every machine of it needs this version of Slimfront and of Ray, this home at the same path, and RAY_AUTH_TOKEN or "
    "~/.ray/auth_token of the cluster"
)


def knock(address: str) -> None:
    """OSError where nobody listens: Ray would try for minutes, and say so on stderr."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


class RemoteCluster:
    """The connection of this process to a cluster that is not ours: what it runs there ends with it."""

    place = "the cluster's temporary folder"

    def __init__(self, address: str) -> None:
        self._address = address
        self._connected = False

    def start(self) -> None:
        """GiveUpError if this process uses Ray already; NoWorkersError, with the reason, if the cluster does not
        answer."""
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            raise GiveUpError(f"this process uses Ray already: {REMEDY}")
        try:
            self._start()
        except ImportError as error:
            raise NoWorkersError(f"Ray is not usable here ({error}): pip install 'ray>=2.55', or {REMEDY}") from error
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise NoWorkersError(f"the Ray at {self._address} cannot be joined ({text}): {NEEDS}") from error

    def _start(self) -> None:
        knock(self._address)
        with our_handlers():
            import ray

            ray.init(
                address=self._address,
                configure_logging=True,
                logging_level=logging.CRITICAL,
                log_to_driver=False,
            )
        self._connected = True
        register_tensors()

    def stop(self) -> None:
        """Leaves it; harmless where it was not joined."""
        if not self._connected:
            return
        import ray

        self._connected = False
        deregister_tensors()
        with our_handlers():
            ray.shutdown()
