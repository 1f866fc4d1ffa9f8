"""Tracing: what a model becomes, and one clear line where it cannot be traced."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from learners.analysis import analyse
from learners.graph.graph import Graph
from learners.graph.run import Program, torch_type
from learners.graph.trace import trace
from storage.errors import FixInputError
from tests.network_parts import Plain, conv_bn
from tests.networks import build

SHAPE = (3, 8, 8)

BRANCHING = """
import torch

def pick(x):
    if x.sum() > 0:
        return x
    return -x

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return pick(self.conv(x)).mean((2, 3))
"""


def user_model(folder: Path, source: str) -> nn.Module:
    """An instance of `Net` from a file of the user's."""
    path = folder / "nets.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("user_nets_of_this_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: nn.Module = module.Net()
    return model.eval()


def refusal(model: nn.Module, shape: tuple[int, ...] = SHAPE) -> str:
    """The one line with which the analysis refuses a model."""
    with pytest.raises(FixInputError) as caught:
        analyse(model.eval(), shape, (), 0)
    text = str(caught.value)
    assert "\n" not in text
    return text


class Given(nn.Module):
    """A convolution and a forward of the test's choice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = conv_bn(3, 4), nn.Linear(4, 5)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x).mean((2, 3)))  # type: ignore[no-any-return]


def test_parameters_keep_the_names_of_the_users_model() -> None:
    model = Plain().eval()
    graph, tensors = trace(model, (3, 16, 16))
    assert set(tensors) == {name for name in model.state_dict() if "num_batches" not in name}
    assert all(torch.equal(tensors[name], model.state_dict()[name]) for name in tensors)
    assert graph.parameters()[0] == "stem.0.weight"


def test_tracing_changes_neither_the_model_nor_its_weights() -> None:
    model = build("in-place")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, tensors = trace(model, (3, 16, 16))
    for value in tensors.values():
        value.add_(1)
    assert not model.training
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_a_graph_is_the_same_each_time() -> None:
    assert trace(build("names"), (3, 16, 16))[0] == trace(build("names"), (3, 16, 16))[0]


def test_the_traced_model_runs_with_any_batch() -> None:
    model = build("shufflenet")
    graph, tensors = trace(model, (3, 16, 16))
    program = Program(Graph.from_json(graph.to_json()))
    for count in (1, 5):
        batch = torch.randn(count, 3, 16, 16)
        with torch.no_grad():
            torch.testing.assert_close(program(tensors, batch), model(batch))


def test_a_branch_on_data_names_the_users_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = refusal(user_model(tmp_path, BRANCHING))
    assert "nets.py, line 5 (if x.sum() > 0:)" in text
    assert "cannot be traced" in text
    assert capfd.readouterr() == ("", "")


def test_an_error_in_the_forward_names_the_users_line(tmp_path: Path) -> None:
    source = BRANCHING.replace("if x.sum() > 0:", "if x.shape[1] == 3 or x.missing:")
    assert "nets.py, line 5" in refusal(user_model(tmp_path, source))


def test_a_wrong_input_shape_names_the_users_line(tmp_path: Path) -> None:
    source = BRANCHING.replace("if x.sum() > 0:", "if True:")
    text = refusal(user_model(tmp_path, source), (1, 8, 8))
    assert "nets.py, line 15" in text
    assert "expected input" in text


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    analyse(build("plain"), (3, 16, 16), (), 0)
    assert capfd.readouterr() == ("", "")


def test_a_fixed_batch_is_refused() -> None:
    class Fixed(Given):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x).reshape(2, 5)

    class Folded(Given):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.stem(x).reshape(2, 4, -1).mean(2))  # type: ignore[no-any-return]

    text = refusal(Fixed())
    assert "only with the batch size it was traced with" in text
    assert "x.size(0)" in text
    assert "turns a batch of 3 into [2, 5]" in refusal(Folded())


def test_a_batch_that_is_averaged_away_is_refused() -> None:
    class Mean(Given):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x).mean(0)

    assert "its first axis must stay the batch" in refusal(Mean())


def test_two_inputs_or_outputs_are_refused() -> None:
    class TwoOutputs(Given):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.features(x), x

    class TwoInputs(Given):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return self.features(x + y)

    class Nothing(Given):
        def forward(self, x: torch.Tensor) -> None:
            self.features(x)

    assert "1 inputs and 2 outputs: wrap it" in refusal(TwoOutputs())
    assert "cannot be traced" in refusal(TwoInputs())
    assert "the model returns None" in refusal(Nothing())


def test_outputs_that_are_not_finite_are_refused() -> None:
    class Infinite(Given):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x) / 0.0

    assert "NaN or infinity" in refusal(Infinite())
    model = build("plain")
    next(model.parameters()).data[0] = torch.nan
    assert "NaN or infinity" in refusal(model, (3, 16, 16))


def test_a_random_forward_is_refused() -> None:
    class Random(Given):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.features(x + torch.rand_like(x))

    assert "random numbers" in refusal(Random())


def test_a_model_without_layers_is_refused_with_the_reasons() -> None:
    class Only(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(3, 4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.relu(self.up(x)).mean((2, 3))

    class Empty(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3))

    assert "no layer to compress (up: read by conv_transpose2d" in refusal(Only())
    assert "no convolution and no linear layer" in refusal(Empty())


def test_an_operation_without_an_onnx_form_is_named() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.FractionalMaxPool2d(2, output_ratio=0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.pool(self.body(x)).mean((2, 3))
            return output

    text = refusal(Pooled())
    assert "no ONNX form: aten.fractional_max_pool2d.default, at `fractional_max_pool2d`, cannot be translated" in text


def test_a_bare_squeeze_keeps_a_batch_of_one() -> None:
    """The axes that it takes are those of the traced batch, which is larger."""

    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.log_softmax(self.head(F.adaptive_avg_pool2d(self.body(x), 1).squeeze()), dim=1)

    analysis = analyse(Pooled().eval(), (3, 16, 16), (), 0)
    assert [layer.name for layer in analysis.layers] == ["body", "head"]


def test_layers_to_keep_are_protected_and_unknown_ones_listed() -> None:
    analysis = analyse(build("plain"), (3, 16, 16), ("head",), 0)
    assert [(item.name, item.reason) for item in analysis.protected] == [("head", "named in [search] keep")]
    assert [layer.name for layer in analysis.layers] == ["stem.0", "body.0"]
    with pytest.raises(FixInputError, match=r'keep = "tail" is no layer.*body\.0, head, stem\.0'):
        analyse(build("plain"), (3, 16, 16), ("tail",), 0)


def test_torch_types_by_name() -> None:
    assert torch_type("torch.float32") is torch.float32
    assert torch_type("torch.channels_last") is torch.channels_last
    for name in ("torch.load", "torch", "os", "torch.nn", ""):
        with pytest.raises(FixInputError, match="is no torch type"):
            torch_type(name)
