"""Small networks of every family that must work, with seeded, sensible weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from tests import network_parts as parts
from tests import odd_networks as odd
from tests import token_networks as tokens

IMAGE = (3, 16, 16)
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network and what the analysis must make of it."""

    make: Callable[[], nn.Module]
    protected: frozenset[str] = frozenset()  # everything else with a weight of two axes or more is a layer
    input: tuple[int, ...] = IMAGE
    # Root mean square difference of the logits that 8-bit activations may make, over the logits' deviation.
    tolerance: float = 0.07


NETWORKS: Mapping[str, Network] = {
    "plain": Network(parts.Plain),
    "resnet-pad": Network(lambda: parts.ResNet("pad")),
    "resnet-conv": Network(lambda: parts.ResNet("conv")),
    "mobilenet": Network(parts.MobileNet),
    "shufflenet": Network(parts.ShuffleNet),
    "squeeze-excite": Network(parts.SqueezeExcite),
    "densenet": Network(parts.DenseNet),
    "vgg": Network(parts.Vgg),
    "mlp": Network(parts.Mlp),
    "mixer": Network(tokens.Mixer),
    "attention": Network(tokens.Attention),
    "channels-last": Network(tokens.ChannelsLast),
    "folded": Network(tokens.Folded),
    "encoder-layer": Network(tokens.EncoderLayer, frozenset({"position"})),
    "hard-swish": Network(lambda: parts.Activated(nn.Hardswish)),
    "silu": Network(lambda: parts.Activated(nn.SiLU)),
    "gelu": Network(lambda: parts.Activated(nn.GELU)),
    "leaky": Network(lambda: parts.Activated(lambda: nn.LeakyReLU(0.1))),
    "prelu": Network(lambda: parts.Activated(lambda: nn.PReLU(16))),
    "elu": Network(lambda: parts.Activated(nn.ELU)),
    "bare": Network(parts.Bare),
    "padding-same": Network(parts.PaddingSame),
    "uneven-same": Network(odd.UnevenSame, frozenset({"uneven"})),
    "reflect": Network(odd.Reflect),
    "strided": Network(parts.Strided),
    "tied": Network(odd.Tied, frozenset({"shared"})),
    "other-kinds": Network(odd.OtherKinds, frozenset({"up", "sequence"})),
    "recurrent": Network(odd.Recurrent, frozenset({"cell.weight_ih_l0", "cell.weight_hh_l0"})),
    "in-place": Network(parts.InPlace),
    "position": Network(parts.Position, frozenset({"position"})),
    "group-norm": Network(parts.GroupNorm, tolerance=0.15),
    "upsample": Network(parts.Upsample),
    "pools": Network(parts.Pools),
    "names": Network(odd.Names),
    "raw-parameters": Network(odd.RawParameters),
    "computed-weight": Network(odd.ComputedWeight),
    "parametrised": Network(odd.Parametrised, frozenset({"twice"})),
    "shared-bias": Network(odd.SharedBias, frozenset({"first", "second"})),
    "equal-weights": Network(odd.EqualWeights),
    "token-norm": Network(odd.TokenNorm),
    "pad-below": Network(odd.PadBelow),
    "norm-first": Network(odd.NormFirst),
    "one-layer": Network(odd.OneLayer),
    "dead": Network(odd.Dead, tolerance=0.1),
}


def build(name: str) -> nn.Module:
    """The network called `name` in eval mode; the same weights each time."""
    network = NETWORKS[name]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        torch.manual_seed(1)
        model = network.make()
        _randomise_norms(model)
        model.train()
        with torch.no_grad():
            for _ in range(4):
                model(images(name, 64))
    return model.eval()


def images(name: str, count: int, seed: int = 0) -> torch.Tensor:
    """[count, *input] with neighbouring values alike, colours and contrasts, as in photographs."""
    generator = torch.Generator().manual_seed(seed)
    shape = NETWORKS[name].input
    noise = torch.randn(count, *shape, generator=generator)
    if len(shape) != 3:
        return noise
    smooth = nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
    colour = torch.randn(count, shape[0], 1, 1, generator=generator)
    contrast = 0.5 + torch.rand(count, 1, 1, 1, generator=generator)
    return colour + contrast * (2.5 * smooth + 0.3 * torch.randn(count, *shape, generator=generator))


def _randomise_norms(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            for parameter, (low, high) in zip(module.parameters(), ((0.6, 1.4), (-0.3, 0.3)), strict=False):
                nn.init.uniform_(parameter, low, high)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.5
