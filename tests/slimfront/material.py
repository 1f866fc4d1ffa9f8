"""A small network on the digits, its study file, and the command line in this process and in its own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slimfront.cli.main import run
from slimfront.cli.signals import Signals

ROOT = Path(__file__).resolve().parents[2]
# Of a command that does not hang: where other programs leave no quiet moment, a study waits a minute and more for some.
MOST_SECONDS = 400

NETS = '''\
"""A network of four layers, one of them depthwise."""

import torch
from torch import nn


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 12, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 24, 3, stride=2, padding=1)
        self.linear = nn.Linear(24, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.depthwise(x)))
        x = torch.relu(self.conv2(x))
        return self.linear(x.mean((2, 3)))


def tiny() -> nn.Module:
    return TinyNet()
'''

STUDY = """\
name = "tiny"
[model]
factory = "nets.py:tiny"
weights = "tiny.safetensors"
input = [1, 8, 8]
[data]
kind = "digits"
quick = 60
[target]
size = "3x"
max_drop = 10.0
[search]
candidates = 12
keep = ["conv1"]
"""


@dataclass(frozen=True)
class Ran:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that say an error."""
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The environment of a process whose state is under `home`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLIMFRONT_")}
    own = {
        "SLIMFRONT_HOME": str(home),
        "SLIMFRONT_INLINE": "1",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "100",
    }
    return {**kept, **own, **variables}


def start(home: Path, *arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.Popen[str]:
    """`slimfront` in a process of its own, to be signalled or waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "slimfront", *arguments],
        cwd=cwd,
        env=environment(home, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        # A test that runs in the background has SIGINT ignored, and would hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@contextlib.contextmanager
def running(home: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """`slimfront` in a process of its own, which is gone when the block ends, however it does."""
    with start(home, *arguments, cwd=ROOT, **variables) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def execute(home: Path, *arguments: str, cwd: Path = ROOT, **variables: str) -> Ran:
    """`slimfront` in a process of its own, run to its end."""
    with start(home, *arguments, cwd=cwd, **variables) as process:
        out, err = process.communicate(timeout=MOST_SECONDS)
    return Ran(process.returncode, out, err)


def invoke(*arguments: str) -> Ran:
    """`slimfront` in this process: fast, as torch is imported once. SLIMFRONT_HOME is the caller's to set."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments), Signals())
    return Ran(code, out.getvalue(), err.getvalue())


def study_text(**changes: str) -> str:
    """STUDY with the values of some keys replaced, such as name='"other"'; "" removes the line."""
    text = STUDY
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^{key} = .*\n", f"{key} = {value}\n" if value else "", text)
        assert count == 1, key
    return text


def write_study(folder: Path, source: Path, **changes: str) -> Path:
    """A study file in `folder` beside copies of the network and of the trained weights that lie in `source`."""
    for name in ("nets.py", "tiny.safetensors"):
        (folder / name).write_bytes((source / name).read_bytes())
    path = folder / "study.toml"
    path.write_text(study_text(**changes))
    return path
