"""The quick score: what a candidate gets depends on nothing but the candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch

import learners.score
from learners.device import single_thread
from learners.graph.run import Program, Values
from learners.score import QuickScore, QuickScorer, visiting_order
from learners.steps import find_steps
from learners.stitch import stitched_graph, stitched_tensors
from objectives.metric import Top1, soft_score
from objectives.workload.subsets import Subset
from storage.records.candidate import Candidate
from storage.records.space import FLOAT_BITS
from tests.built import Built
from tests.learners.agreement import random_levels
from tests.networks import images

IMAGES = 150  # more than one chunk


def subset(network: Built) -> Subset:
    batch = images(network.name, IMAGES, seed=3)
    with torch.no_grad():
        labels = network.model(batch).argmax(1).numpy().astype(np.int64)
    labels[::5] = (labels[::5] + 1) % 10  # the model is wrong on a fifth
    return Subset(batch.numpy(), labels)


def candidates(network: Built, count: int) -> list[Candidate]:
    """Random ones, many that begin alike, copies, and some of the rounded weights."""
    library = network.library
    generator = np.random.default_rng(0)
    sites = len(library.space.sites)
    found = [random_levels(library.space, generator) for _ in range(count)]
    for cut in range(sites):
        found.append((*found[0][:cut], *found[1][cut:]))
        found.append((*found[0][: sites - cut], *found[2][sites - cut :]))
    found.append(found[3])
    made = [Candidate(levels, library.id) for levels in found]
    made += [Candidate(levels, library.rounded_id) for levels in found[:4]]
    return made


def bits(score: QuickScore) -> tuple[bytes, bytes]:
    return score.soft.tobytes(), score.metric.tobytes()


@pytest.mark.parametrize("name", ["resnet-pad", "shufflenet", "densenet", "mixer", "one-layer"])
@pytest.mark.parametrize("fast", [False, True], ids=["float32", "bfloat16 where it is exact enough"])
def test_a_score_is_the_same_alone_in_any_batch_and_in_any_order(
    name: str, fast: bool, built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners.score, "bf16_is_fast", lambda device: fast)
    network = built(name)
    scorer = QuickScorer(network.library, subset(network), Top1())
    asked = candidates(network, 8)
    together = dict(zip(asked, map(bits, scorer.score(asked)), strict=True))
    order = np.random.default_rng(1).permutation(len(asked))
    shuffled = scorer.score([asked[index] for index in order])
    assert [together[asked[index]] for index in order] == [bits(score) for score in shuffled]
    fresh = QuickScorer(network.library, subset(network), Top1())
    for candidate in asked[::3]:
        assert bits(fresh.score([candidate])[0]) == together[candidate]
    pairs = scorer.score([asked[0], asked[-1], asked[0]])
    assert bits(pairs[0]) == bits(pairs[2]) == together[asked[0]]
    assert scorer.score([]) == []


@pytest.mark.parametrize("name", ["resnet-conv", "mobilenet", "densenet", "attention"])
def test_scores_are_those_of_the_stitched_network(
    name: str, built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners.score, "bf16_is_fast", lambda device: False)
    network = built(name)
    library, part = network.library, subset(network)
    scorer = QuickScorer(library, part, Top1())
    assert scorer.precision == "float32"
    for candidate in candidates(network, 4)[::2]:
        chosen = library.choose(candidate.levels, candidate.weights)
        tensors = stitched_tensors(library.analysis, chosen)
        with single_thread(), torch.no_grad():
            program = Program(stitched_graph(library.analysis, chosen.kept))
            outputs = program(tensors, torch.from_numpy(part.images)).numpy()
        score = scorer.score([candidate])[0]
        np.testing.assert_allclose(score.soft, soft_score(outputs, part.labels, outputs), atol=1e-4)
        assert (score.metric == (outputs.argmax(1) == part.labels)).mean() > 0.98
    dense = scorer.score([Candidate(library.space.uniform_bits(FLOAT_BITS), library.id)])[0]
    assert dense.metric.mean() == pytest.approx(0.8)


def test_scores_fall_with_the_bits(built: Callable[[str], Built]) -> None:
    network = built("mobilenet")
    library = network.library
    scorer = QuickScorer(library, subset(network), Top1())
    widths = (FLOAT_BITS, 8, 4, 3, 2)
    scores = scorer.score([Candidate(library.space.uniform_bits(bits), library.id) for bits in widths])
    means = [float(score.metric.mean()) for score in scores]
    assert means[0] == pytest.approx(0.8, abs=0.02)
    assert abs(means[1] - means[0]) < 0.03
    assert means[0] > means[3] > means[4]


def test_candidates_of_another_library_are_refused(built: Callable[[str], Built]) -> None:
    network = built("plain")
    scorer = QuickScorer(network.library, subset(network), Top1())
    with pytest.raises(ValueError, match="are not of library"):
        scorer.score([Candidate((0, 0, 0, 0, 1), "another")])


def test_bfloat16_is_given_up_where_it_moves_the_scores(
    built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners.score, "bf16_is_fast", lambda device: True)
    network = built("plain")
    assert QuickScorer(network.library, subset(network), Top1()).precision == "bfloat16"
    monkeypatch.setattr(learners.score, "BF16_SCORE_TOLERANCE", -1.0)
    scorer = QuickScorer(network.library, subset(network), Top1())
    assert scorer.precision == "float32"
    monkeypatch.setattr(learners.score, "bf16_is_fast", lambda device: False)
    plain = QuickScorer(network.library, subset(network), Top1())
    candidate = [Candidate(network.library.space.uniform_bits(3), network.library.id)]
    assert bits(scorer.score(candidate)[0]) == bits(plain.score(candidate)[0])


def test_neighbours_share_work_in_several_calls_and_after_one_that_failed(
    built: Callable[[str], Built], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = built("resnet-conv")
    scorer = QuickScorer(network.library, subset(network), Top1())
    asked = list(dict.fromkeys(candidates(network, 6)))
    asked = [asked[index] for index in visiting_order(find_steps(network.library), asked)]
    wanted = [bits(score) for score in scorer.score(asked)]
    original, nodes = Program.advance, 0
    failing = False

    def advance(self: Program, values: Values, parameters: Mapping[str, torch.Tensor], start: int, stop: int) -> None:
        nonlocal nodes
        nodes += stop - start
        if failing and stop == len(self.graph.nodes):
            raise RuntimeError("at its last step")
        original(self, values, parameters, start, stop)

    monkeypatch.setattr(Program, "advance", advance)

    def counted(parts: int, fails_between: bool = False) -> int:
        nonlocal nodes, failing
        nodes, place = 0, 0
        for size in (len(part) for part in np.array_split(np.arange(len(asked)), parts)):
            found = [bits(score) for score in scorer.visit(asked[place : place + size])]
            assert found == wanted[place : place + size]
            place += size
            if fails_between and place < len(asked):
                failing = True
                with pytest.raises(RuntimeError, match="at its last step"):
                    list(scorer.visit([asked[place]]))
                failing = False
        return nodes

    once = counted(1)
    chunks = -(-IMAGES // learners.score.MOST_CHUNK)
    assert once < chunks * len(asked) * len(network.library.analysis.graph.nodes)
    scorer.score(asked[:1])
    assert counted(6) < counted(len(asked), fails_between=True)
    assert counted(6) < 1.5 * once
