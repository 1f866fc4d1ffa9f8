"""A study as the store keeps it, its states and its events."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

# Kinds of events that are read again.
WORKER_LOST = "worker lost"  # a worker has died or was stopped
FILES_RUNTIME = "files runtime"  # what a study's files are scored and timed on, if it does not open model.slim itself
SEARCH_NOTE = "search note"  # what readers of the front should know of the search; each text once a study
TIMED_ON = "timed on"  # the machine and runtime on which they were timed; the last one counts
EXTENDED = "extended"  # with more candidates than it was to have; data: {"candidates": those of before}
SEARCH_ENDED = "search ended"  # no candidate is scored any more unless it is extended
PROCESS_DIED = "process died"  # of those that have run it; data: its exit code, or its signal, negative, and its place
EPOCH = "epoch trained"  # of a finalist; data: {"candidate", "epoch" from 1, "loss", "accuracy" in percent or null}
LOOKED = "test split looked at"  # data: {"split": its hash, "images": how many, "again": if it had been used before}
TRUSTED = "trusted"  # code of the user's is run by a worker; data: its files and their hashes

DECLARED = "finalists declared"  # before a look at the test split; data: {"primary": number, "candidates": numbers}
CERTIFICATE = "certificate"  # what a look has shown; data: a storage.records.certificate.CertificateReport


class StudyState(StrEnum):
    """queued -> running -> (cancelling -> cancelled) | succeeded | failed; interrupted is resumable."""

    QUEUED = "queued"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Study:
    """One search. Values, never live rows."""

    name: str
    config_json: str  # StudyConfig as JSON, paths absolute
    state: StudyState
    stage: str  # what it is doing: "new", "library", "quick", "rescored", "confirmed", "latency", "done"
    seconds: float  # wall seconds spent so far, over all attempts
    attempt: int  # how many times it was started
    created_at: float  # seconds since the epoch, UTC
    updated_at: float
    error: str | None = None  # why it failed; one line
    owner: str | None = None  # who runs it, or did when it died: storage.records.lease.owner_text
    lease_until: float | None = None  # by the store's clock; from then on others may take over
    progress: str = ""  # what its owner was doing when it renewed its lease: a Step, or nothing
    queued_at: float | None = None  # when it was submitted; None for one that whoever made it runs
    priority: int = 0  # in the queue: higher ones first
    runs_code: bool = False  # whether a worker has to run code of the user's for it
    workload: str | None = None  # hash of model and data when it was submitted
    content: str | None = None  # hash of what was submitted, wherever its files lie
    idempotency_key: str | None = None

    @property
    def is_owned(self) -> bool:
        """Whether somebody runs it, or did when it died."""
        return self.state in (StudyState.RUNNING, StudyState.CANCELLING)

    def is_leased(self, now: float) -> bool:
        """Whether a lease holds at that time of the store's clock."""
        return self.is_owned and self.lease_until is not None and self.lease_until > now


@dataclass(frozen=True)
class Step:
    """What a running study says of its progress: `done` of `total` steps of a stage; 0 of 0 where it is not known."""

    stage: str
    done: int
    total: int
    note: str = ""  # what is being done, or the best so far

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Step | None:
        """Inverse of `to_json`; None for an empty text."""
        return cls(**json.loads(text)) if text else None

    def __str__(self) -> str:
        count = f"{self.done}/{self.total}" if self.total else str(self.done)
        return f"{self.stage} {count}{f': {self.note}' if self.note else ''}"


@dataclass(frozen=True)
class Analysis:
    """What is known of a study's model before any candidate is evaluated; stored once, then only read."""

    space_json: str  # SearchSpace
    library: str  # id of the level library
    dense_json: str  # DenseFacts
    hardware: str  # processor, cores, runtime and its version
    workload: str  # hash of model, weights and data
    latency_json: str | None = None  # LatencyTable; None where latency cannot be predicted


@dataclass(frozen=True)
class FrontRow:
    """Membership of the front. Position 0 is the most accurate."""

    position: int
    number: int
    rung: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a study."""

    number: int  # rising within a study
    time: float  # seconds since the epoch, UTC
    kind: str  # "created", "stage", "candidate failed", "interrupted", ...
    text: str  # one line for people
    data: str = "{}"  # a JSON object for programs
