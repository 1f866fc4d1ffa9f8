"""What a look at the test split has shown of a study's finalists."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from storage.records.study import CERTIFICATE, DECLARED, LOOKED, Event

HUNDREDTHS = 100  # of a point, to which bounds are shown


class Verdict(StrEnum):
    """What can be said of the drop of one file, with the confidence asked for."""

    CERTIFIED = "certified"  # it is at most what is allowed
    FAILS = "fails"  # it is more
    OPEN = "not certified"  # either may be


@dataclass(frozen=True)
class Certificate:
    """The paired comparison of one file with the dense model on the test split."""

    number: int  # of the candidate
    primary: bool  # whether it was declared to be judged with the full confidence, before anything was looked at
    verdict: Verdict
    needed: int | None  # images that would probably do; None where they suffice, or where no number of them would
    drop: float  # points of the metric; positive is worse than dense
    drop_lower: float  # one-sided bounds, each with `confidence`
    drop_upper: float
    n: int  # images
    disagreement: float  # share of images, in [0, 1], whose scores differ
    confidence: float
    max_drop: float  # points

    @property
    def sentence(self) -> str:
        """One line for people."""
        level = f"{100 * self.confidence:.4g} %, {self.n} images"
        upper, lower = _upwards(self.drop_upper), -_upwards(-self.drop_lower)
        if self.verdict is Verdict.CERTIFIED:
            return f"certified: at most {upper:.2f} points worse ({level})"
        if self.verdict is Verdict.FAILS:
            return f"fails: at least {lower:.2f} points worse, {self.max_drop:g} are allowed ({level})"
        found = f"{self.drop:.2f} points worse, at most {upper:.2f} ({level})"
        if self.needed is None:
            return f"not certified: {found}; more images would hardly help"
        return f"not certified, needs about {self.needed} images: {found}"


def _upwards(points: float) -> float:
    """With two decimals, never below `points`: 0.504 beside an allowed 0.5 is no 0.50."""
    return math.ceil(round(points * HUNDREDTHS, 6)) / HUNDREDTHS + 0.0


@dataclass(frozen=True)
class CertificateReport:
    """All that one look has shown."""

    looks: int  # how often the test split had been looked at by then, this look counted
    certificates: tuple[Certificate, ...]  # the primary first

    def to_json(self) -> str:
        """One line of JSON that `from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> CertificateReport:
        """Inverse of `to_json`."""
        raw = json.loads(text)
        items = (Certificate(**{**item, "verdict": Verdict(item["verdict"])}) for item in raw["certificates"])
        return cls(raw["looks"], tuple(items))


def last_report(events: Sequence[Event]) -> CertificateReport | None:
    """What the last look of a study has shown, by its events, oldest first; None where there was none, or it has not
    come to its end."""
    last = next((event for event in reversed(events) if event.kind in (LOOKED, DECLARED, CERTIFICATE)), None)
    return None if last is None or last.kind != CERTIFICATE else CertificateReport.from_json(last.data)
