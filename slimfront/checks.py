"""Whether this installation can work. The fields of `slimfront doctor --json`."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import slimfront
from storage.errors import FixInputError, SlimfrontError
from storage.files import is_writable
from storage.home import Home

OWN = ("storage", "objectives", "learners", "searcher", "dashboards", "slimfront")
OTHERS = (
    *("torch", "numpy", "scipy", "onnx", "onnxruntime", "safetensors", "pillow", "scikit-learn"),
    *("onnxscript", "ray", "pydantic", "sqlalchemy", "alembic", "filelock", "tenacity", "typer", "rich"),
)
MOST_SECONDS_APART = 5.0  # of two clocks: a network's delays and a server's steps are less
MOST_RAY_SECONDS = 120.0
START_RAY = """
import sys
from learners.pool.ray_cluster import LocalCluster
from storage.errors import SlimfrontError
cluster = LocalCluster(1)
try:
    cluster.start()
except SlimfrontError as error:
    sys.exit(str(error))
finally:
    cluster.stop()
"""
LEAST_FREE_BYTES = 1_000_000_000  # a library and the files of a study of a small network take a tenth of it
VNNI = frozenset({"AVX512-VNNI", "AVX-VNNI", "AMX-INT8", "DOTPROD", "I8MM"})
BF16 = frozenset({"AVX512-BF16", "AMX-BF16"})


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str  # one line; with the remedy where it is not ok


@dataclass(frozen=True)
class Checkup:
    """Everything that `doctor` shows."""

    ok: bool
    checks: tuple[Check, ...]
    versions: dict[str, str | None]  # None: not installed

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)


def examine(store: str | None, start_ray: bool = False) -> Checkup:
    """Looks at everything and changes nothing; `store` is the URL of another database than the home's. Ray is only
    looked at where it may be started, which takes some seconds."""
    versions = _versions()
    missing = [name for name, found in versions.items() if found is None]
    checks = [Check("packages", not missing, _packages(missing)), _one_place()]
    try:
        home = Home.from_environment(store)
    except SlimfrontError as error:
        checks.append(Check("home", False, str(error)))
    else:
        checks += [_home(home), _disk(home), *_database(home)]
    if start_ray and not missing:
        checks.append(_ray())
    if not missing:
        checks += _machine()
    return Checkup(all(check.ok for check in checks), tuple(checks), versions)


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {"python": platform.python_version(), "slimfront": slimfront.__version__}
    for name in OTHERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _packages(missing: list[str]) -> str:
    return (
        f"missing: {', '.join(missing)}; install with `pip install .` in a checkout of Slimfront"
        if missing
        else "all are installed"
    )


def _one_place() -> Check:
    """Flat names such as `storage` can be taken by another distribution, or by a folder that one stands in."""
    places: dict[Path, list[str]] = {}
    for name in OWN:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            return Check("one place", False, f"package {name} is not found: reinstall slimfront")
        places.setdefault(Path(spec.origin).parent.parent, []).append(name)
    if len(places) == 1:
        return Check("one place", True, f"all of Slimfront's packages are in {next(iter(places))}")
    shown = "; ".join(f"{', '.join(names)} in {place}" for place, names in places.items())
    text = f"{shown}: another distribution hides a part of Slimfront; give it an environment of its own"
    return Check("one place", False, text)


def _home(home: Home) -> Check:
    folder = _existing(home.root)
    if not is_writable(folder):
        text = f"{folder} may not be written: change its permissions, or set SLIMFRONT_HOME to another folder"
        return Check("home", False, text)
    return Check("home", True, f"{home.root}" + ("" if folder == home.root else " (made by the first study)"))


def _disk(home: Home) -> Check:
    free = shutil.disk_usage(_existing(home.root)).free
    text = f"{free / 1e9:.1f} GB free"
    if free < LEAST_FREE_BYTES:
        return Check("disk", False, f"{text}: free some, or set SLIMFRONT_HOME to a larger disk")
    return Check("disk", True, text)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _database(home: Home) -> list[Check]:
    from storage.home import shown
    from storage.open import open_store
    from storage.sql.engine import path_of
    from storage.sql.tables import HEAD

    try:
        if home.database_url.startswith("sqlite:") and not path_of(home.database_url).exists():
            text = f"{shown(home.database_url)} is not there yet: the first study makes it"
            return [Check("database", True, text)]
        store = open_store(home.database_url)
        try:
            studies = len(store.studies())
            apart = store.now() - time.time()
        finally:
            store.close()
    except SlimfrontError as error:
        return [Check("database", False, str(error))]
    text = f"{shown(home.database_url)} opens at revision {HEAD}, with {studies} studies"
    return [Check("database", True, text), _clock(apart)]


def _clock(apart: float) -> Check:
    """`apart` is how many seconds the database's clock is ahead."""
    if abs(apart) <= MOST_SECONDS_APART:
        return Check("clock", True, f"within {MOST_SECONDS_APART:g} s of the database's")
    where = "behind" if apart > 0 else "ahead of"
    text = (
        f"{abs(apart):.0f} s {where} the database's: leases go by that one and hold, but times of logs and "
        "files do not compare; let both machines ask a time server (NTP)"
    )
    return Check("clock", False, text)


def _ray() -> Check:
    """In a process of its own: what it changes is gone with it."""
    started = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", START_RAY],
            check=False,
            capture_output=True,
            text=True,
            timeout=MOST_RAY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        text = f"it has not started within {MOST_RAY_SECONDS:g} s: run studies with --inline, which needs none"
        return Check("ray", False, text)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it does not start"]
        return Check("ray", False, lines[-1])
    return Check("ray", True, f"version {version('ray')} starts in {time.monotonic() - started:.0f} s, on loopback")


def _machine() -> Iterator[Check]:
    import torch

    from objectives.hardware import CPUINFO, describe, parse_cpuinfo
    from objectives.runtimes.table import RUNTIMES, runtime

    for name in RUNTIMES:
        try:
            yield Check("runtime", True, describe(runtime(name)))
        except FixInputError as error:  # an extra that is not installed is no fault
            yield Check("runtime", True, str(error))
    sets = set(parse_cpuinfo(CPUINFO.read_text(errors="replace")).instruction_sets) if CPUINFO.exists() else set()
    fast = ", ".join(sorted(sets & VNNI))
    yield Check("int8", True, f"{fast}: int8 models run faster than float32" if fast else _NO_VNNI)
    fast = ", ".join(sorted(sets & BF16))
    yield Check("bfloat16", True, f"{fast}: quick scores are computed in bfloat16" if fast else _NO_BF16)
    cuda = torch.cuda.is_available()
    yield Check("cuda", True, f"{torch.cuda.get_device_name()}" if cuda else "none: everything runs on the processor")


_NO_VNNI = (
    "no VNNI or dot-product instructions: int8 files are as small and compute the same, but gain less over float32; "
    "files of other tools may lose accuracy here, as ONNX Runtime's kernels saturate where weights are beyond +-64"
)
_NO_BF16 = "no bfloat16 instructions: quick scores are computed in float32, at about a quarter of the speed"
