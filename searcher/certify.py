"""The certificate: the finalists beside the dense model on the test split, once, when everything else is done.

The look is entered in the ledger, the finalists are declared, every image's score is stored, and only then is a verdict
computed: whatever ends the process in between, going on adds no second look.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from objectives.certificate import certify, shortage
from objectives.metric import resolve_metric
from objectives.paired import pack_scores, unpack_scores
from objectives.targets import Figures, rank_key
from objectives.workload.splits import Split
from objectives.workload.test_split import open_test, split_hash
from searcher.baselines import DENSE
from searcher.judged import confirmed_figures
from searcher.notes import keep_note
from searcher.progress import Progress
from searcher.stages.evaluation import evaluation_batch
from searcher.stages.file_results import file_results
from searcher.stages.files import Session, stored_file_session
from storage.errors import FixInputError
from storage.home import Home
from storage.records.candidate import Trial
from storage.records.certificate import CertificateReport, last_report
from storage.records.config import StudyConfig
from storage.records.dense import DenseFacts
from storage.records.finetune_config import CertificateConfig
from storage.records.measurement import Direction, Measurement, Result, Rung
from storage.records.study import CERTIFICATE, DECLARED, LOOKED
from storage.store import StudyStore

STAGE = "tested"
MOST_OTHERS = 4  # finalists beside the primary: each more takes confidence from all of them


@dataclass(frozen=True)
class Declaration:
    """Who is judged."""

    primary: int
    candidates: tuple[int, ...]  # the primary first

    def to_json(self) -> str:
        """The data of its event."""
        return json.dumps({"primary": self.primary, "candidates": self.candidates})

    @classmethod
    def from_json(cls, text: str) -> Declaration:
        """Inverse of `to_json`."""
        raw = json.loads(text)
        return cls(raw["primary"], tuple(raw["candidates"]))


def certify_study(
    store: StudyStore, home: Home, name: str, config: StudyConfig, progress: Progress, again: bool = False
) -> CertificateReport:
    """The certificate of a study's finalists, which is stored with it; the stored one where there is one, unless the
    test split is to be looked at `again`.

    `config` has the places of the data on this machine. FixInputError without `max_drop`, without a test split or
    without files; UsedSplitError where the test split was used before and `again` is not said.
    """
    if config.target.max_drop is None:
        raise FixInputError(f"study {name} has no max_drop, which a certificate is about: run a new study with one")
    found = stored_report(store, name)
    if found is not None and not again:
        return found
    progress.update(STAGE, 0, 0, "opening the test split")
    split = open_test(config)
    identity = split_hash(split)
    pending = None if again else _pending(store, name)
    declaration = pending or declare(store, name, config)
    store.look(name, identity, len(split), again)  # a new one forgets the scores of the one before
    if pending is None:
        others = f" and {len(declaration.candidates) - 1} more" if len(declaration.candidates) > 1 else ""
        store.add_event(name, DECLARED, f"candidate {declaration.primary}{others}", declaration.to_json())
    looks = len(store.looks(identity))
    _evaluate(store, home, name, config, declaration, split, progress)
    scores = {item.number: item.per_image for item in store.results(name, Rung.TESTED)}
    unpacked = {number: unpack_scores(packed) for number, packed in scores.items() if packed is not None}
    dense = _dense(store.trials(name)).number
    settings = config.certificate or CertificateConfig()
    certificates = certify(
        unpacked[dense],
        {number: unpacked[number] for number in declaration.candidates},
        declaration.primary,
        config.target.max_drop,
        settings.error,
    )
    report = CertificateReport(looks, certificates)
    store.add_event(name, CERTIFICATE, certificates[0].sentence, report.to_json())
    return report


def announced(store: StudyStore, name: str, config: StudyConfig) -> tuple[str, ...]:
    """What to say, a line each, before a study begins that is to end with a certificate: that the test split has too
    few images for it, or has been used. FixInputError where there is none."""
    settings, allowed = config.certificate, config.target.max_drop
    if settings is None or allowed is None:
        return ()
    split = open_test(config)
    found = []
    if (text := shortage(len(split), allowed, 1 - settings.error)) is not None:
        found.append(text)
    # This study's own look is no second one, but for a study that has got more candidates since.
    own = name, store.study(name).created_at
    if any((look.study, look.created_at) != own for look in store.looks(split_hash(split))):
        found.append(
            "the test split has been used by another study: this one will end without a certificate, and "
            f"`slimfront certify {name} --again` will look once more, which is recorded and shown"
        )
    return tuple(found)


def certify_at_end(
    store: StudyStore, home: Home, name: str, config: StudyConfig, progress: Progress
) -> CertificateReport | None:
    """The certificate, where the study asks for one; None, with a note that says why, where the test split was used by
    others."""
    if config.certificate is None:
        return None
    try:
        return certify_study(store, home, name, config, progress)
    except FixInputError as error:  # UsedSplitError among them; all that the study has found stands
        keep_note(store, name, f"no certificate: {error}", progress)
        return None


def stored_report(store: StudyStore, name: str) -> CertificateReport | None:
    """What the last look has shown; None where there was none, or it has not come to its end."""
    return last_report(store.events(name))


def _pending(store: StudyStore, name: str) -> Declaration | None:
    """Whom a look that has not come to its end was to judge."""
    for event in reversed(store.events(name)):
        if event.kind in (CERTIFICATE, LOOKED):
            return None
        if event.kind == DECLARED:
            return Declaration.from_json(event.data)
    return None


def declare(store: StudyStore, name: str, config: StudyConfig) -> Declaration:
    """The finalists of a study by what is known without the test split: the best for the target is the primary, then
    come trained ones and the trained baseline, then what is best of the others. FixInputError where there is no file.
    """
    trials = {trial.number: trial for trial in store.trials(name)}
    results, timed = file_results(store, name), {item.number: item for item in store.results(name, Rung.TIMED)}
    analysis, front = store.analysis(name), {row.number for row in store.front(name)}
    own = [number for number in results if trials[number].baseline is None and number in front]
    own = own or [number for number in results if trials[number].baseline is None]
    if analysis is None or not own:
        raise FixInputError(f"study {name} has no files of candidates yet: `slimfront resume {name}` first")
    dense = DenseFacts.from_json(analysis.dense_json)

    def key(number: int) -> tuple[float, ...]:
        return (*rank_key(config.target, _figures(results[number], timed.get(number)), dense), number)

    ordered = sorted(own, key=key)
    trained = [number for number in ordered[1:] if trials[number].parent is not None]
    baselines = [number for number in results if trials[number].baseline and trials[number].parent is not None]
    rest = [number for number in ordered[1:] if number not in trained]
    others = (baselines[-1:] + trained + ([] if trained else rest))[:MOST_OTHERS]
    return Declaration(ordered[0], (ordered[0], *sorted(others)))


def _figures(result: Result, timed: Result | None) -> Figures:
    """As confirmed, by what was measured where it was."""
    latency, speedup = (None, None) if timed is None else (timed.value("latency"), timed.value("speedup"))
    return replace(confirmed_figures(result), latency_ms=latency, speedup=speedup)


def _dense(trials: Sequence[Trial]) -> Trial:
    return next(trial for trial in trials if trial.baseline == DENSE)


def _evaluate(
    store: StudyStore,
    home: Home,
    name: str,
    config: StudyConfig,
    declaration: Declaration,
    split: Split,
    progress: Progress,
) -> None:
    """Stores the scores of the dense model and of all declared files at once, unless they are stored."""
    trials = {trial.number: trial for trial in store.trials(name)}
    dense = _dense(tuple(trials.values())).number
    wanted = [dense, *declaration.candidates]
    known = {item.number for item in store.results(name, Rung.TESTED)}
    if known.issuperset(wanted):
        return
    metric = resolve_metric(config.data.metric, labelled=split.labels is not None)
    outputs: dict[int, npt.NDArray[np.float32]] = {}
    results = []
    for done, number in enumerate(wanted):
        progress.update(STAGE, done, len(wanted), f"candidate {number}" if number != dense else DENSE)
        session = stored_file_session(home, name, trials[number], config.runtime.name, config.runtime.threads)
        outputs[number] = _run(session, split)
        scores = metric.per_image(outputs[number], split.labels, outputs[dense])
        accuracy = 100 * float(scores.mean(dtype=np.float64))
        measured = Measurement("accuracy", accuracy, "%", Direction.MAXIMIZE, len(scores))
        results.append(Result(number, Rung.TESTED, (measured,), pack_scores(scores), str(number)))
    store.record_batch(name, results)
    progress.update(STAGE, len(wanted), len(wanted))


def _run(session: Session, split: Split) -> npt.NDArray[np.float32]:
    """Outputs on all images, which are read a batch at a time."""
    size = evaluation_batch(split.batch([0]))
    parts = [session(split.batch(range(start, min(start + size, len(split))))) for start in range(0, len(split), size)]
    return np.concatenate(parts)
