"""Another user of this machine, whom loopback does not keep out, has no token and is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.learners.pool.test_ray_cluster import begin, ours

# `ray.init` would try for minutes; this is what it asks first.
ASK = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, 10))
"""


def ask(address: str, **token: str) -> subprocess.CompletedProcess[str]:
    """Asks the Ray at `address` what it keeps."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, "-c", ASK, address], env={**kept, **token}, capture_output=True, text=True, timeout=60
    )


def test_who_has_no_token_is_refused() -> None:
    # A short path: sockets of Ray lie below it.
    with tempfile.TemporaryDirectory() as folder, begin(Path(folder)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "9\n"
        number, address = next(
            (number, found[1])
            for number, command in ours(Path(folder)).items()
            if (found := re.search(r"--gcs-address=(127\.0\.0\.1:\d+)", command))
        )
        token = re.search(rb"RAY_AUTH_TOKEN=(\w+)", Path(f"/proc/{number}/environ").read_bytes())
        assert token is not None
        for refused in (ask(address), ask(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64)):
            assert refused.returncode != 0
            assert "InvalidAuthToken" in refused.stderr
        ours_alone = ask(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token[1].decode())
        assert ours_alone.returncode == 0, ours_alone.stderr
        process.communicate("\n", timeout=60)
