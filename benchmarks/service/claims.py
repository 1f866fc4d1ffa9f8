"""Eight processes and a thousand studies: each is claimed once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from storage.open import open_store
from storage.records.lease import Submission, new_process, owner_text
from storage.records.study import StudyState

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 8
STUDIES = 1000
LEASE_SECONDS = 600.0  # none runs out while this goes on


@dataclass(frozen=True)
class Claims:
    """What has become of the studies."""

    database: str
    processes: int
    studies: int
    claimed: int
    twice: int
    lost: int
    seconds: float  # from the first claim to the last
    fewest: int  # that one process has claimed
    most: int


def race(url: str, processes: int = PROCESSES, studies: int = STUDIES) -> Claims:
    """Lets processes claim until nothing is left, all from one moment on."""
    store = open_store(url)
    for number in range(studies):
        store.create_study(f"s{number}", "{}", Submission("w", runs_code=False))
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.service.claims"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for child in children:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(url + "\n")
        child.stdin.flush()
        child.stdout.readline()  # it is ready
    started = time.monotonic()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    found = [child.communicate()[0].split() for child in children]
    seconds = time.monotonic() - started
    counts = Counter(name for names in found for name in names)
    running = sum(1 for study in store.studies() if study.state is StudyState.RUNNING and study.attempt == 1)
    store.close()
    return Claims(
        database=url.partition(":")[0],
        processes=processes,
        studies=studies,
        claimed=running,
        twice=sum(1 for count in counts.values() if count > 1),
        lost=studies - len(counts),
        seconds=seconds,
        fewest=min(map(len, found)),
        most=max(map(len, found)),
    )


def main() -> None:
    """One of the processes."""
    store = open_store(sys.stdin.readline().strip())
    print("ready", flush=True)
    sys.stdin.readline()
    names: list[str] = []
    while True:
        lease = store.claim_next(owner_text("bench:1", new_process()), LEASE_SECONDS, trusts_code=False)
        if lease is not None:
            names.append(lease.study)
        elif all(study.state is not StudyState.QUEUED for study in store.studies()):
            break  # also of those that others were just claiming
    print(*names, sep="\n")
    store.close()


if __name__ == "__main__":
    main()
