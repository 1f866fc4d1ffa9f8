"""Who may write a study, and what is asked of whoever may run it."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass

RANDOM_BYTES = 4
DEFAULT_LEASE_SECONDS = 30.0
SEPARATOR = "#"  # in an owner's text, between its place and its process


@dataclass(frozen=True)
class Lease:
    """The right to write a study, until it has not been renewed for `seconds`."""

    study: str
    owner: str  # `owner_text`
    attempt: int  # counts the claims of the study, so that a lease that was lost is told from the next one
    seconds: float


@dataclass(frozen=True)
class Submission:
    """What is known of a study that is put into the queue."""

    workload: str  # hash of model, weights, metric and data: whoever runs it compares
    runs_code: bool  # whether code of the user's has to be run for it
    content: str = ""  # hash of what is asked for, wherever its files lie
    priority: int = 0  # higher ones first
    key: str | None = None  # two submissions with one key are one


def owner_text(place: str, process: str) -> str:
    """The owner of a lease. Processes of one `place` can tell whether others of it live; `process` tells them apart."""
    return f"{place}{SEPARATOR}{process}"


def new_process() -> str:
    """This process, for an owner's text; another one each time, as numbers come again."""
    return f"{os.getpid()}.{secrets.token_hex(RANDOM_BYTES)}"


def place_of(owner: str) -> str:
    """The place in an owner's text."""
    return owner.rpartition(SEPARATOR)[0]


def process_number(owner: str) -> int:
    """The number of the process in an owner's text; 0 if it has none."""
    number = owner.rpartition(SEPARATOR)[2].partition(".")[0]
    return int(number) if number.isascii() and number.isdigit() else 0


def shown_owner(owner: str) -> str:
    """An owner for people: the machine and the process's number."""
    place, _, process = owner.rpartition(SEPARATOR)
    return f"process {process.partition('.')[0]} on {place.partition(':')[0]}"
