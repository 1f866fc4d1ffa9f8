"""What the loop hands to the process that runs a study: one line of JSON on its stdin."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from storage.records.lease import Lease


@dataclass(frozen=True)
class Order:
    """A claimed study, and how it is to be run."""

    lease: Lease
    store: str | None  # URL of another database than the home's; not an argument, which everybody on a machine may read
    trusts_code: bool
    workers: int | None = None
    inline: bool = False
    ray_address: str | None = None
    gpus: float = 0.0  # of each worker

    def to_line(self) -> str:
        """One line, with its end."""
        return json.dumps(asdict(self)) + "\n"

    @classmethod
    def from_line(cls, text: str) -> Order:
        """Inverse of `to_line`."""
        raw = json.loads(text)
        return cls(**{**raw, "lease": Lease(**raw["lease"])})
