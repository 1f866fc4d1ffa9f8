"""A Ray cluster of two nodes on this machine, on loopback, that is not the pool's own.

Run as `python -m tests.learners.pool.raylets FOLDER CORES`, it says its address and ends when its stdin closes.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.slimfront.material import ROOT


@dataclass(frozen=True)
class Cluster:
    """How to reach it."""

    address: str
    variables: dict[str, str]  # of processes that join


@contextmanager
def two_raylets(cores: int = 1) -> Iterator[Cluster]:
    """Two nodes of `cores` each, which end with the block, and none but these."""
    with tempfile.TemporaryDirectory(prefix="rl-") as folder:
        variables = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback alone
            "OMP_NUM_THREADS": "1",
        }
        with Path(folder, "nodes.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", __name__, folder, str(cores)],
                env={**os.environ, **variables, "PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"Ray has not started: {Path(folder, 'nodes.log').read_text()}")
            yield Cluster(address, variables)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the kernel ends the daemons with it
            process.communicate()


def main(folder: str, cores: int) -> None:
    """The process that has started the nodes."""
    from ray.cluster_utils import Cluster as Nodes

    node: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": 2**27}
    nodes = Nodes(initialize_head=True, head_node_args={**node, "temp_dir": folder})
    nodes.add_node(**node)
    nodes.wait_for_nodes()
    print(nodes.address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
