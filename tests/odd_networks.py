"""Networks that are built unusually: names that collide, weights that are shared, computed or dead."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from tests.network_parts import CLASSES, conv_bn


class UnevenSame(nn.Module):
    """An even kernel under padding="same" pads one side more: no convolution of ours does that."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16)
        self.uneven = nn.Conv2d(16, 16, 4, padding="same")
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.uneven(F.relu(self.stem(x)))).mean((2, 3)))


class Reflect(nn.Module):
    """Convolutions that pad with what lies at the border."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect")
        self.body = nn.Conv2d(16, 16, 3, padding=1, padding_mode="replicate", bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.norm(self.body(F.relu(self.stem(x))))).mean((2, 3)))


class Tied(nn.Module):
    """One convolution that is applied twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared = conv_bn(3, 16), nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(self.shared(F.relu(self.shared(x))))
        return self.head(x.mean((2, 3)))


class OtherKinds(nn.Module):
    """A transposed and a one-dimensional convolution between others."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.up = conv_bn(3, 16, stride=2), nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.sequence = nn.Conv1d(8, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.up(F.relu(self.stem(x))))
        return self.head(F.relu(self.sequence(x.mean(3))).mean(2))


class Recurrent(nn.Module):
    """An LSTM over the positions of feature maps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.cell = conv_bn(3, 16, stride=2), nn.LSTM(16, 16, batch_first=True)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x)).flatten(2).transpose(1, 2)
        return self.head(self.cell(x)[0][:, -1])


class Names(nn.Module):
    """Parameters and modules named as operations, inputs and attributes of other graphs are."""

    mean: torch.Tensor
    x: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]))
        self.register_buffer("x", torch.tensor([0.5, 1.0, 2.0]))
        self.register_buffer("0", torch.tensor([1.5]))
        self.add = nn.Parameter(torch.rand(16))
        self.input = nn.Parameter(torch.rand(16))
        self.output = nn.Parameter(torch.rand(16))
        self.graph = nn.Sequential(*conv_bn(3, 16))
        self.conv2d = nn.Conv2d(16, 16, 3)
        self.weight = nn.Linear(16, 16)
        self.linear = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x - self.mean[:, None, None]) * self.x[:, None, None]
        x = F.relu(self.graph(x)).add(self.add[:, None, None]) * self.get_buffer("0")
        x = F.relu(self.conv2d(x)) * self.input[:, None, None] + self.output[:, None, None]
        return self.linear(F.relu(self.weight(x.mean((2, 3)))))


class Scaled(nn.Module):
    """A weight and a bias that are no layer's: the bias is added after a scaling."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(0.2 * torch.randn(16, 16, 3, 3)), nn.Parameter(torch.randn(16))
        self.gain = nn.Parameter(torch.rand(16) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight) * self.gain[:, None, None] + self.bias[:, None, None]


class RawParameters(nn.Module):
    """Parameters without modules of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.weight = nn.Parameter(0.3 * torch.randn(16, 3, 3, 3)), nn.Parameter(0.3 * torch.randn(16, 16))
        self.bias, self.kernelbias = nn.Parameter(torch.randn(16)), nn.Parameter(torch.randn(16))
        self.scaled = Scaled()
        self.matrix = nn.Parameter(0.3 * torch.randn(CLASSES, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.scaled(F.conv2d(x, self.kernel) + self.kernelbias[:, None, None]))
        x = F.relu(F.linear(x.mean((2, 3)), self.weight) * 2 + self.bias)
        return F.linear(x, self.matrix)


class ComputedWeight(nn.Module):
    """A convolution whose weight is standardised in the forward, and one with a computed bias."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16)
        self.weight = nn.Parameter(torch.randn(16, 16, 3, 3))
        self.body, self.shift = nn.Parameter(0.1 * torch.randn(16, 16, 3, 3)), nn.Parameter(torch.randn(16))
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        x = F.relu(F.conv2d(F.relu(self.stem(x)), 0.1 * weight))
        return self.head(F.relu(F.conv2d(x, self.body, self.shift * 2)).mean((2, 3)))


class Parametrised(nn.Module):
    """Weights that torch's parametrisations compute, and scales whose axes the forward adds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = parametrizations.weight_norm(nn.Conv2d(3, 16, 3, padding=1))
        self.gain, self.shift = nn.Parameter(torch.rand(16) + 0.5), nn.Parameter(torch.randn(16))
        self.body = parametrizations.spectral_norm(nn.Conv2d(16, 24, 3, padding=1))
        self.twice = parametrizations.weight_norm(nn.Conv2d(24, 24, 3, padding=1))
        self.head = parametrizations.weight_norm(nn.Linear(24, CLASSES))
        blur = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0]))
        self.register_buffer("blur", blur)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x) * self.gain[:, None, None] + self.shift[:, None, None])
        blur = self.get_buffer("blur")
        x = F.conv2d(x, (blur / blur.sum()).expand(16, 1, 3, 3), padding=1, groups=16)
        x = 4 * F.relu(self.body(x))
        return self.head(F.relu(self.twice(F.relu(self.twice(x)))).mean((2, 3)))


class SharedBias(nn.Module):
    """Two layers with one bias: correcting it for one would spoil the other."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first = conv_bn(3, 16), nn.Conv2d(16, 16, 3)
        self.second = nn.Conv2d(16, 16, 3)
        self.second.bias = self.first.bias
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.second(F.relu(self.first(F.relu(self.stem(x)))))).mean((2, 3)))


class EqualWeights(nn.Module):
    """Layers whose weights are equal and not shared, as after an initialisation by copying."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn(3, 16)
        self.convs = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))
        self.tokens = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(16, CLASSES) for _ in range(2))
        for twins in (self.convs, self.tokens, self.heads):
            for twin in twins[1:]:
                twin.load_state_dict(twins[0].state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        for convolution in self.convs:
            x = F.relu(convolution(x)) + x
        x = x.flatten(2).transpose(1, 2)
        for layer in self.tokens:
            x = F.relu(layer(x))
        x = x.mean(1)
        return self.heads[0](x) + self.heads[1](x.flip(1))


class TokenNorm(nn.Module):
    """Batch norms over the tokens behind linear layers: the axis that they scale is not the layers' output."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.same, self.same_norm = nn.Linear(24, 16), nn.BatchNorm1d(16)  # 16 tokens, 16 outputs
        self.other, self.other_norm = nn.Linear(16, 20), nn.BatchNorm1d(16)
        self.head = nn.Linear(20, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = F.relu(self.same_norm(self.same(x)))
        return self.head(F.relu(self.other_norm(self.other(x))).mean(1))


class PadBelow(nn.Module):
    """Pads with values that the ReLU and the grid before it cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body, self.last = conv_bn(3, 16), conv_bn(16, 16), conv_bn(16, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(F.relu(self.stem(x)), (1, 1, 1, 1), value=-2.0)
        x = F.pad(F.relu6(self.body(x)), (1, 1, 1, 1), value=9.0)
        return self.head(F.relu(self.last(x)).mean((2, 3)))


class NormFirst(nn.Module):
    """Normalises its input, and a batch norm reads a layer that something else reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.stem, self.after = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)
        self.plain = nn.BatchNorm2d(16, affine=False)
        self.body = nn.Conv2d(16, 16, 3, bias=False)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(self.norm(x))
        x = F.relu(self.after(x)) + 0.5 * x
        return self.head(F.relu(self.plain(self.body(x))).mean((2, 3)))


class OneLayer(nn.Module):
    """A single linear layer, whose output is the model's."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(768, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1))


class Dead(nn.Module):
    """Channels that never fire, weights of zero, outputs that are constant."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = conv_bn(3, 16), nn.Conv2d(16, 16, 3, padding=1)
        self.silent = nn.Conv2d(16, 16, 1)
        self.head = nn.Linear(16, CLASSES)
        with torch.no_grad():
            self.body.weight[:, :4] = 0
            self.body.weight[8:] = 0
            self.silent.weight.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.stem(x))
        x = torch.cat([x[:, :8], 0 * x[:, 8:]], 1)
        x = F.relu(self.body(x))
        return self.head((x + self.silent(x)).mean((2, 3)))
