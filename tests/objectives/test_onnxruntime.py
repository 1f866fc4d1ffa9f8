"""What a failing call of ONNX Runtime says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from objectives.runtimes.onnxruntime import failed_call

LIMITED = """
import resource
import numpy as np
from objectives.runtimes.onnxruntime import OnnxRuntime
from storage.errors import GiveUpError
from tests.objectives.models import convolutional, images
session = OnnxRuntime().session(convolutional(), 1)
session(images(1))
feed = np.zeros((200_000, 3, 8, 8), np.float32)
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 50_000_000, -1))
try:
    session(feed)
except GiveUpError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits its own memory as only Linux can")
def test_a_batch_that_memory_does_not_suffice_for_is_said_in_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith("onnxruntime ")
    assert line.endswith("has too little memory for an input of shape (200000, 3, 8, 8): choose a smaller batch")


@pytest.mark.parametrize("text", ["Failed to allocate memory for requested buffer", "bad allocation", "std::bad_alloc"])
def test_causes_that_are_memory(text: str) -> None:
    assert "choose a smaller batch" in str(failed_call("r 1", (2, 3), RuntimeError(text)))


def test_other_causes_are_told() -> None:
    said = str(failed_call("r 1", (2, 3), RuntimeError("Got invalid dimensions")))
    assert said.startswith("r 1 fails on an input of shape (2, 3): Got invalid dimensions; ")
    assert "dynamic batch axis" in said
