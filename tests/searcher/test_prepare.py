"""What is said of a target that cannot be reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from learners.analysis import Analysis
from searcher.stages.prepare import Prepared, check_criterion, check_finetune, check_reachable
from storage.errors import FixInputError
from storage.records.finetune_config import FinetuneConfig
from storage.records.space import Protected
from storage.records.target import Target


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "ask for that or less"),
        (("a",), "; 1 layer is protected, a"),
        (("a", "b"), "; 2 layers are protected, a among them"),
    ],
)
def test_protected_layers_are_counted(prepared: Prepared, names: tuple[str, ...], said: str) -> None:
    space = replace(prepared.space, protected=tuple(Protected(name, "named in [search] keep") for name in names))
    config = prepared.config.model_copy(update={"target": Target.parse(size="1B")})
    with pytest.raises(FixInputError, match="cannot be reached") as caught:
        check_reachable(replace(prepared, config=config, space=space))
    assert str(caught.value).endswith(said)


@pytest.mark.parametrize("outputs", [(1, 1), (1, 5, 8, 8), (1,)])
def test_a_criterion_that_needs_classes_refuses_other_outputs(prepared: Prepared, outputs: tuple[int, ...]) -> None:
    analysis = replace(prepared.analysis)
    analysis.__dict__["shapes"] = {**prepared.analysis.shapes, analysis.graph.output: outputs}

    def check(criterion: str, learners: tuple[str, ...], of: Analysis = analysis) -> None:
        settings = {"criterion": criterion, "learners": learners}
        search = prepared.config.search.model_copy(update=settings)
        check_criterion(prepared.config.model_copy(update={"search": search}), of)

    sizes = ", ".join(["n", *map(str, outputs[1:])])
    with pytest.raises(FixInputError, match=f"outputs \\[{sizes}\\]: take another criterion"):
        check("taylor", ("channel", "quant"))
    check("taylor", ("quant",))
    check("obs", ("channel", "quant"))
    check("taylor", ("channel", "quant"), prepared.analysis)


@pytest.mark.parametrize("features", ["hidden", "fsp"])
def test_features_are_taught_where_layers_can_be_compared(prepared: Prepared, features: str) -> None:
    (first, second, *others) = (layer for layer in prepared.analysis.layers if len(layer.shape) == 4)
    alone = replace(prepared.analysis, layers=(first, *others, prepared.analysis.layers[-1]))

    def check(of: Analysis, **settings: object) -> None:
        config = FinetuneConfig.model_validate(settings)
        check_finetune(prepared.config.model_copy(update={"finetune": config}), of)

    check(prepared.analysis, features=features)
    with pytest.raises(
        FixInputError, match=f'^\\[finetune\\] features = "{features}" compares .* no two such: remove it$'
    ):
        check(alone, features=features)
    check(alone)
    check_finetune(prepared.config, alone)
    assert second.name == "depthwise"
