"""Runs one study from where it stands to its end. Whatever kills it, running it again goes on from there."""

from __future__ import annotations

from dataclasses import replace

from learners.library.library import Library
from learners.pool.base import Pool
from learners.pool.inline import InlinePool
from searcher.certify import STAGE as TESTED
from searcher.certify import announced, certify_at_end
from searcher.heartbeat import Heartbeat
from searcher.interruption import Interruption
from searcher.notes import keep_lost_worker, keep_note, keep_trusted
from searcher.progress import Progress
from searcher.stages.confirm import confirm
from searcher.stages.context import Clock, StudyContext
from searcher.stages.finetune import finetune
from searcher.stages.latency_table import open_or_measure
from searcher.stages.prepare import Prepared, analyse_dense, notes, open_library, prepare
from searcher.stages.quick import search
from searcher.stages.rescore import rescore
from searcher.stages.timing import time_front
from storage.errors import (
    DiskFullError,
    ElsewhereError,
    FixInputError,
    GiveUpError,
    LeaseLostError,
    RetryError,
    SlimfrontError,
    StoreConflictError,
    StoreLostError,
    StudyCancelledError,
)
from storage.files import file_lock
from storage.home import Home
from storage.leases import MOST_REFUSALS, refusals
from storage.liveness import release_dead
from storage.located import located
from storage.patient import patient
from storage.records.config import PACKED_RUNTIME, StudyConfig
from storage.records.dense import DenseFacts
from storage.records.latency import LatencyTable
from storage.records.lease import DEFAULT_LEASE_SECONDS, Lease, new_process, owner_text
from storage.records.measurement import Rung
from storage.records.study import FILES_RUNTIME, Study, StudyState
from storage.store import StudyStore

LIBRARY_STAGE = "library"
DONE = "done"
LEASED_LOCK_SECONDS = 30.0  # for an owner that has lost its lease to notice it
LOCK_SECONDS = 1.0  # a `status` that looks whether the study runs holds the lock for an instant


class Controller:
    """Owns one study while it runs, by a lease. The caller has created the study's row."""

    def __init__(
        self,
        store: StudyStore,
        home: Home,
        progress: Progress,
        pool: Pool | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
        stopped: StudyState = StudyState.INTERRUPTED,
    ) -> None:
        """`pool` builds, scores and confirms, without one this process does. It is closed when it has done so; the
        caller closes it in any case. `stopped` is what becomes of a study that is stopped by KeyboardInterrupt."""
        self._pool = InlinePool() if pool is None else pool
        self._bare = store
        self._unleased = patient(store, progress.event)
        self._store = self._unleased
        self._home = home
        self._progress = progress
        self._lease_seconds = lease_seconds
        self._stopped = stopped

    def run(self, name: str, prepared: Prepared | None = None, lease: Lease | None = None) -> Study:
        """Brings the study to its end and returns it; at once if it is there already.

        `prepared` saves reading the input again when the caller has just done so; `lease` is one that the caller has
        claimed. Raises StoreLockedError if another process runs the study, StudyCancelledError and LeaseLostError where
        that is what ended it; KeyboardInterrupt passes through and leaves the study resumable.
        """
        self._home.prepare()
        if lease is None:
            release_dead(self._unleased, self._home, self._unleased.study(name))
        lock = self._home.locks / f"{name}.lock"
        seconds = LOCK_SECONDS if lease is None else LEASED_LOCK_SECONDS
        with file_lock(lock, seconds=seconds, holds=f"study {name}"):
            study = self._unleased.study(name)
            if study.state is StudyState.SUCCEEDED:
                return study
            if lease is None:
                owner = owner_text(self._home.place, new_process())
                lease = self._unleased.claim(name, owner, self._lease_seconds)
            self._store = self._unleased.under(lease)
            clock, interruption = Clock(study.seconds), Interruption()
            try:
                with interruption, Heartbeat(self._bare, lease, interruption, self._progress) as heartbeat:
                    try:
                        self._run(study, prepared, clock, heartbeat, lease.owner)
                    except Exception:
                        heartbeat.check()  # an interrupt, of which a library has made an error
                        raise
            except KeyboardInterrupt:
                self._end(lease, clock, self._stopped)
                raise
            except Exception as raised:
                # What runs here may have wrapped what has interrupted it.
                error = interruption.error or raised
                self._fail(lease, clock, error)
                if error is raised:
                    raise
                raise error from raised
            return self._end(lease, clock, StudyState.SUCCEEDED, stage=DONE)

    def _fail(self, lease: Lease, clock: Clock, error: Exception) -> None:
        """Says what has become of a study that an error has ended, and gives its lease back."""
        if isinstance(error, LeaseLostError | StoreLostError):
            return  # nothing can be written
        if isinstance(error, StudyCancelledError):
            self._end(lease, clock, StudyState.CANCELLED)
        elif isinstance(error, DiskFullError):
            self._end(lease, clock, StudyState.INTERRUPTED, error=str(error))
        elif isinstance(error, RetryError):
            state = self._stopped
            if state is StudyState.QUEUED and refusals(self._store.events(lease.study)) >= MOST_REFUSALS - 1:
                state = StudyState.FAILED
            self._end(lease, clock, state, error=str(error))
        else:
            # What is none of ours is a fault of us or of a library: the caller sees it, too.
            ours = isinstance(error, SlimfrontError)
            text = str(error) if ours else f"{type(error).__name__}: {error}"
            self._end(lease, clock, StudyState.FAILED, error=text)

    def _end(
        self, lease: Lease, clock: Clock, state: StudyState, stage: str | None = None, error: str | None = None
    ) -> Study:
        """Gives the lease back."""
        try:
            return self._store.update_study(lease.study, state=state, stage=stage, seconds=clock.seconds, error=error)
        except LeaseLostError:
            study = self._unleased.study(lease.study)
            if (study.state, study.attempt, study.owner) == (state, lease.attempt, None):
                return study  # it had landed; only its acknowledgement was lost
            raise

    def _run(self, study: Study, prepared: Prepared | None, clock: Clock, progress: Progress, owner: str) -> None:
        name, config = study.name, located(StudyConfig.from_json(study.config_json), self._home)
        if study.queued_at is not None:  # before any of it runs
            keep_trusted(self._store, name, config, owner)
        if prepared is None:
            prepared = self._prepared(config, progress)
        if study.queued_at is None:  # once it is known which files belong to it
            keep_trusted(self._store, name, config, owner)
        for note in notes(prepared):
            progress.event(note)
        for note in announced(self._store, name, prepared.config):
            keep_note(self._store, name, note, progress)
        self._home.check_space()
        self._store.update_study(name, stage=LIBRARY_STAGE, seconds=clock.seconds)
        library = open_library(
            prepared,
            self._home,
            lambda note, done, of: progress.update(LIBRARY_STAGE, done, of, note),
            self._pool,
            lambda text: keep_lost_worker(self._store, name, text, progress),
        )
        analysis, dense = analyse_dense(prepared, library)
        stored = self._store.analysis(name)
        if stored is None:
            if study.workload not in (None, analysis.workload):
                raise FixInputError(
                    f"the model or the data of study {name} has changed since it was submitted: put it back, or submit "
                    "it under another name"
                )
            table = self._latency_table(name, library, prepared.config, progress)
            analysis = replace(analysis, latency_json=None if table is None else table.to_json())
            self._store.save_analysis(name, analysis)
        elif stored.workload != analysis.workload:
            raise FixInputError(
                f"the model or the data of study {name} has changed since it began: put it back, or start a new study"
            )
        elif stored.library != analysis.library:
            raise self._elsewhere(
                FixInputError(
                    f"study {name} was begun by another version of Slimfront or on another device (CPU or GPU), where "
                    "the weights at each level come out otherwise: resume it there, or start a new study"
                )
            )
        else:
            analysis = stored
        self._note_runtime(name, prepared.config.runtime.name)
        context = StudyContext(
            name=name,
            config=prepared.config,
            store=self._store,
            home=self._home,
            workload=prepared.workload,
            library=library,
            dense=DenseFacts.from_json(analysis.dense_json),
            progress=progress,
            clock=clock,
            pool=self._pool,
            latency=None if analysis.latency_json is None else LatencyTable.from_json(analysis.latency_json),
        )
        try:
            search(context)
        except StoreConflictError as error:  # by another processor's library, say
            raise self._elsewhere(error) from error
        rescore(context)
        confirm(context, dense)
        finetune(context, dense)
        self._pool.close()  # which nobody needs from here on: its processes would disturb the timing
        time_front(context)
        if context.config.certificate is not None:
            context.checkpoint(TESTED)
            certify_at_end(self._store, self._home, name, context.config, progress)

    def _prepared(self, config: StudyConfig, progress: Progress) -> Prepared:
        try:
            return prepare(config, progress)
        except FixInputError as error:
            raise self._elsewhere(error) from error

    def _elsewhere(self, error: SlimfrontError) -> SlimfrontError:
        """What a fault is here: of a study of the queue, which was read when it was submitted, this machine's."""
        if self._stopped is not StudyState.QUEUED:
            return error
        return ElsewhereError(f"it cannot be run on this machine: {error}")

    def _latency_table(
        self, name: str, library: Library, config: StudyConfig, progress: Progress
    ) -> LatencyTable | None:
        """None, with a note that says why, where latency cannot be predicted."""
        try:
            return open_or_measure(library, config.runtime, self._home, progress)
        except DiskFullError:
            raise
        except GiveUpError as error:
            progress.check()  # what a runtime may have made of an interrupt is no note
            keep_note(self._store, name, f"latency is not predicted: {error}", progress)
            return None

    def _note_runtime(self, name: str, runtime_name: str) -> None:
        """Notes what the files run on, unless that is ONNX Runtime, on which earlier versions ran all of them.

        FixInputError for a study of such a version that has confirmed files already: two runtimes do not mix.
        """
        if runtime_name == PACKED_RUNTIME or any(item.kind == FILES_RUNTIME for item in self._store.events(name)):
            return
        if self._store.results(name, Rung.CONFIRMED):
            raise FixInputError(
                f"study {name} was begun by a version of Slimfront that ran its files on {PACKED_RUNTIME} in place of "
                f"{runtime_name}: start a new study"
            )
        self._store.add_event(name, FILES_RUNTIME, runtime_name)
