"""What a look at the test split has shown. The fields of `slimfront certify STUDY --json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dashboards.study import StudyData
from storage.records.certificate import Certificate

ROW_FIELDS = ("verdict", "drop", "drop_upper", "n", "disagreement")  # that `front --json` shows


@dataclass(frozen=True)
class RowCertificate:
    """What is said of one finalist, and by which figures."""

    candidate: int
    name: str | None  # of a baseline
    primary: bool  # whether it was declared to be judged with the full confidence, before anything was looked at
    verdict: str  # "certified", "fails", "not certified"
    drop: float  # points below the dense model on the test split
    drop_lower: float  # one-sided bounds, each with `confidence`
    drop_upper: float
    n: int  # images
    disagreement: float  # share of images, in [0, 1], whose scores differ from the dense model's
    confidence: float
    max_drop: float  # points that the target allows
    needed: int | None  # images that would probably do; None where they suffice, or where no number of them would
    sentence: str

    def row_dict(self) -> dict[str, Any]:
        """The JSON object in a row of the front."""
        return {name: getattr(self, name) for name in ROW_FIELDS}

    @property
    def title(self) -> str:
        """ "candidate 113 (primary)"."""
        notes = [*([self.name] if self.name is not None else []), *(["primary"] if self.primary else [])]
        return f"candidate {self.candidate}" + (f" ({', '.join(notes)})" if notes else "")


@dataclass(frozen=True)
class CertificateView:
    """The certificate of a study."""

    study: str
    looks: int  # how often the test split had been looked at by then, this look counted
    certificates: tuple[RowCertificate, ...]  # the primary first

    def to_dict(self) -> dict[str, Any]:
        """The JSON document."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{item.title}: {item.sentence}" for item in self.certificates]
        return "\n".join([*lines, *looks_lines(self.looks)])


def certificate_view(data: StudyData) -> CertificateView | None:
    """The view of a study; None where there is no certificate."""
    report = data.certificate
    if report is None:
        return None
    return CertificateView(data.study.name, report.looks, tuple(_certified(data, item) for item in report.certificates))


def row_certificate(data: StudyData, number: int) -> RowCertificate | None:
    """What is said of one candidate; None where it was not judged."""
    view = certificate_view(data)
    return next((item for item in view.certificates if item.candidate == number), None) if view is not None else None


def looks_lines(looks: int | None) -> tuple[str, ...]:
    """A line where the test split was not new."""
    if looks is None or looks <= 1:
        return ()
    return (f"the test split had been looked at {looks} times by then",)


def _certified(data: StudyData, item: Certificate) -> RowCertificate:
    trial = data.trials.get(item.number)
    return RowCertificate(
        candidate=item.number,
        name=None if trial is None else trial.baseline,
        primary=item.primary,
        verdict=item.verdict.value,
        drop=item.drop,
        drop_lower=item.drop_lower,
        drop_upper=item.drop_upper,
        n=item.n,
        disagreement=item.disagreement,
        confidence=item.confidence,
        max_drop=item.max_drop,
        needed=item.needed,
        sentence=item.sentence,
    )
