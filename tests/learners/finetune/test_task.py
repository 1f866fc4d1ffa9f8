"""Trainings as jobs of one epoch each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learners.base import LearnerOptions
from learners.finetune.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochReport
from learners.finetune.network import Grids
from learners.finetune.options import TrainingOptions
from learners.finetune.task import Diverged, EpochJob, FinetuneTask
from learners.finetune.trainer import Span
from objectives.runtimes.packed import PackedSession, read
from storage.artifacts import ArtifactStore
from storage.errors import GiveUpError
from storage.records.candidate import Candidate
from storage.slim import SLIM_FILE
from tests.built import Built
from tests.learners.agreement import Levels, random_levels, with_bits
from tests.learners.finetune.material import OPTIONS, as_filed, split, trainable
from tests.learners.finetune.test_network import CLOSE, EQUAL, apart

STUDY = "study"
SPAN = Span(0, 2)


@pytest.fixture
def network(built: Callable[[str], Built]) -> Built:
    return built("resnet-conv")


def task(network: Built, folder: Path, options: TrainingOptions = OPTIONS, labelled: bool = True) -> FinetuneTask:
    return FinetuneTask(
        path=network.library.path,
        library=network.library.id,
        learners=("channel", "quant"),
        learner_options=LearnerOptions(),
        training=split(network, 48, labelled=labelled),
        calibration=network.images,
        options=options,
        artifacts=ArtifactStore(folder),
        study=STUDY,
        contract=network.contract,
    )


def pruned(network: Built) -> Levels:
    space = network.library.space
    return with_bits(space, random_levels(space, np.random.default_rng(1)), 3)


def jobs(network: Built, name: str = "7", span: Span = SPAN, start: str | None = None) -> list[EpochJob]:
    """Of all epochs of a training."""
    candidate = Candidate(pruned(network), network.library.id)
    return [EpochJob(name, candidate, start, span, epoch) for epoch in range(span.start, span.stop)]


def run(given: FinetuneTask, work: Sequence[EpochJob]) -> list[EpochReport | Diverged]:
    """Each job by a worker of its own."""
    return [found for job in work for found in given.open().run([job])]


def file(folder: Path, name: str, kind: str = SLIM_FILE) -> Path:
    return folder / STUDY / name / kind


def losses(found: Sequence[EpochReport | Diverged]) -> list[float]:
    return [item.loss for item in found if isinstance(item, EpochReport)]


def test_the_last_epoch_leaves_a_file_of_what_was_trained(network: Built, tmp_path: Path) -> None:
    given, work = task(network, tmp_path), jobs(network)
    (first,) = run(given, work[:1])
    assert isinstance(first, EpochReport)
    assert not file(tmp_path, "7").exists()
    (second,) = run(given, work[1:])
    assert isinstance(second, EpochReport)
    assert [first.epoch, second.epoch] == [0, 1]
    stored = Checkpoint.read(file(tmp_path, "7", CHECKPOINT_FILE))
    assert stored is not None
    assert stored.reports == (first, second)
    trained = trainable(network, pruned(network))
    trained.load(stored.parameters)
    model = read(file(tmp_path, "7"))
    wanted = PackedSession(model)(network.images)
    before = PackedSession(network.packed(pruned(network)))(network.images)
    as_filed(network, trained, model)
    with torch.no_grad():
        found = trained(torch.from_numpy(network.images), Grids.FIXED).numpy()
    assert apart(found, wanted) < EQUAL < apart(before, wanted) < 10 * CLOSE
    assert model.contract == network.contract


def test_one_worker_and_several_give_the_same_file(network: Built, tmp_path: Path) -> None:
    work = [*jobs(network), *jobs(network, "8")]
    one, several = (tmp_path / name for name in ("one", "several"))
    together = list(task(network, one).open().run(work))
    by_turns = run(task(network, several), [work[0], work[2], work[3], work[1]])
    assert losses(together) == losses([by_turns[0], by_turns[3], *by_turns[1:3]])
    assert file(one, "7").read_bytes() == file(several, "7").read_bytes() == file(one, "8").read_bytes()


def test_an_epoch_that_was_trained_is_not_trained_again(network: Built, tmp_path: Path) -> None:
    given, work = task(network, tmp_path), jobs(network)
    found = run(given, work)
    content = file(tmp_path, "7").read_bytes()
    checkpoint = file(tmp_path, "7", CHECKPOINT_FILE)
    written = checkpoint.stat().st_mtime_ns
    assert run(given, work) == found  # their CPU seconds are those of then
    file(tmp_path, "7").unlink()
    assert run(given, work) == found
    assert file(tmp_path, "7").read_bytes() == content
    assert checkpoint.stat().st_mtime_ns == written


def test_a_file_that_is_there_stays(network: Built, tmp_path: Path) -> None:
    """It may have been measured."""
    file(tmp_path, "7").parent.mkdir(parents=True)
    file(tmp_path, "7").write_bytes(b"measured")
    run(task(network, tmp_path), jobs(network))
    assert file(tmp_path, "7").read_bytes() == b"measured"


def test_a_longer_training_begins_with_what_the_brief_one_has_left(network: Built, tmp_path: Path) -> None:
    given = task(network, tmp_path)
    run(given, jobs(network))
    brief = Checkpoint.read(file(tmp_path, "7", CHECKPOINT_FILE))
    assert brief is not None
    # At a rate of nothing, what it ends with is what it has begun with.
    still = replace(given, options=replace(OPTIONS, rate=1e-30))
    (report,) = run(still, jobs(network, "8", Span(2, 3), "7"))
    assert isinstance(report, EpochReport)
    assert report.epoch == 2
    longer = Checkpoint.read(file(tmp_path, "8", CHECKPOINT_FILE))
    assert longer is not None
    assert longer.reports == (report,)
    assert set(longer.parameters) == set(brief.parameters)
    for name, tensor in longer.parameters.items():
        assert torch.equal(tensor, brief.parameters[name])
    assert file(tmp_path, "8").read_bytes() == file(tmp_path, "7").read_bytes()
    # Its optimiser begins anew, on images of later epochs.
    assert all(float(item) <= 3 for name, item in longer.tensors.items() if name.startswith("step/"))
    run(given, jobs(network, "9", Span(2, 4), "7"))
    assert file(tmp_path, "9").read_bytes() != file(tmp_path, "7").read_bytes()


def test_a_brief_training_that_is_gone_is_named(network: Built, tmp_path: Path) -> None:
    with pytest.raises(GiveUpError, match=r"/7/training\.safetensors is gone, from which candidate 8 goes on"):
        run(task(network, tmp_path), jobs(network, "8", Span(2, 3), "7"))


def test_an_epoch_out_of_turn_is_refused(network: Built, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="7 stands at epoch 0, not 1"):
        run(task(network, tmp_path), jobs(network)[1:])


def test_a_loss_that_is_no_number_is_a_result(network: Built, tmp_path: Path) -> None:
    given = task(network, tmp_path, replace(OPTIONS, rate=1e9))
    found = run(given, jobs(network)[:1])
    assert found == [Diverged("its loss became NaN or infinite in epoch 1")]
    assert not file(tmp_path, "7").exists()
    assert not file(tmp_path, "7", CHECKPOINT_FILE).exists()


@pytest.mark.parametrize("features", ["hidden", "fsp"])
def test_features_are_taught(features: str, network: Built, tmp_path: Path) -> None:
    plain = run(task(network, tmp_path / "plain"), jobs(network))
    found = run(task(network, tmp_path, replace(OPTIONS, features=features)), jobs(network))
    assert all(one > other for one, other in zip(losses(found), losses(plain), strict=True))
    assert file(tmp_path, "7").read_bytes() != file(tmp_path / "plain", "7").read_bytes()


def test_without_labels_the_dense_model_teaches_whatever_is_asked_for(network: Built, tmp_path: Path) -> None:
    found = [
        run(task(network, tmp_path / str(distill), replace(OPTIONS, distill=distill), labelled=False), jobs(network))
        for distill in (True, False)
    ]
    assert losses(found[0]) == losses(found[1])
    assert all(isinstance(item, EpochReport) and item.accuracy is None for item in found[0])


def test_the_rounded_weights_of_a_baseline_are_trained_too(network: Built, tmp_path: Path) -> None:
    library = network.library
    candidate = Candidate(library.space.uniform_bits(4), library.rounded_id)
    found = run(task(network, tmp_path), [EpochJob("7", candidate, None, Span(0, 1), 0)])
    assert len(losses(found)) == 1
    own = Candidate(candidate.levels, library.id)
    run(task(network, tmp_path), [EpochJob("8", own, None, Span(0, 1), 0)])
    assert file(tmp_path, "7").read_bytes() != file(tmp_path, "8").read_bytes()


def test_jobs_are_waited_for_and_computed_on_one_thread(network: Built, tmp_path: Path) -> None:
    given = task(network, tmp_path)
    assert given.patience == float("inf")
    assert given.threads is None
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        several = run(given, jobs(network)[:1])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    one = run(task(network, tmp_path / "one"), jobs(network)[:1])
    assert losses(several) == losses(one)
