"""The process that a loop starts for a study, when the loop is gone."""

from __future__ import annotations

import subprocess
import sys

from slimfront.cli.codes import INTERRUPTED

DEAF = """
import signal, time
from slimfront.cli import claimed
signal.signal(signal.SIGTERM, signal.SIG_IGN)
claimed.END_SECONDS = 0.1
claimed._watch_parent()
print("deaf", flush=True)
time.sleep(120)
"""


def test_a_process_that_does_not_end_with_its_loop_is_ended() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "deaf\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == INTERRUPTED
