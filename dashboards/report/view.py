"""Everything that the report shows, from one reading of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dashboards.candidate import CandidateView, candidate_view
from dashboards.certificate import CertificateView, certificate_view
from dashboards.front import FrontView, front_view
from dashboards.hypervolume import HypervolumeView, hypervolume_view
from dashboards.scatter import Marked, ScatterView, scatter_view
from dashboards.sensitivity import SiteSensitivity, site_sensitivities
from dashboards.study import StudyData
from objectives.targets import explain
from storage.errors import FixInputError
from storage.home import Home


@dataclass(frozen=True)
class Failure:
    """Why evaluations failed, the commonest reason first."""

    reason: str
    candidates: int


@dataclass(frozen=True)
class ReportView:
    """One study at one moment."""

    front: FrontView
    scatter: ScatterView
    hypervolume: HypervolumeView | None  # None before any candidate is scored
    sensitivity: tuple[SiteSensitivity, ...]
    plans: tuple[CandidateView, ...]  # of the front and the baselines
    failures: tuple[Failure, ...]
    certificate: CertificateView | None
    verdict: str  # how the recommended model stands to the target
    exportable: bool  # whether that model has a measured file
    error: str | None  # why the study failed
    runtime: str  # on which latencies are measured
    updated: str  # when the study last changed: UTC, to the minute


def report_view(data: StudyData, home: Home) -> ReportView:
    """The view of a study, running or not. FixInputError while there is nothing to show."""
    name = data.study.name
    scatter = scatter_view(data)
    if data.space is None or not (scatter.front or scatter.baselines):
        raise FixInputError(
            f"study {name} has no results yet: `slimfront status {name}` shows how far it is; try again when the first "
            "candidates are scored"
        )
    shown = list(dict.fromkeys(item.row.candidate for item in (*scatter.front, *scatter.baselines)))
    return ReportView(
        front=front_view(data, home),
        scatter=scatter,
        hypervolume=hypervolume_view(data),
        sensitivity=site_sensitivities(data),
        plans=tuple(candidate_view(data, number) for number in shown),
        failures=_failures(data),
        certificate=certificate_view(data),
        verdict=_verdict(data, scatter.front, scatter.recommended),
        exportable=scatter.recommended is not None and scatter.recommended in data.files,
        error=data.study.error,
        runtime=data.config.runtime.name,
        updated=datetime.fromtimestamp(data.study.updated_at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _failures(data: StudyData) -> tuple[Failure, ...]:
    reasons = Counter(trial.error for trial in data.trials.values() if trial.error is not None)
    return tuple(Failure(reason, count) for reason, count in reasons.most_common())


def _verdict(data: StudyData, front: Sequence[Marked], recommended: int | None) -> str:
    row = next((item.row for item in front if item.row.candidate == recommended), None)
    figures = None if row is None else row.figures()
    if row is None or figures is None or data.dense is None:
        return ""
    return explain(data.target, figures, data.dense)
