"""Networks of tokens [n, tokens, width], whose linear layers are matrix products in ONNX."""

# Calling a module gives Any.
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.network_parts import CLASSES


class MixerBlock(nn.Module):
    """Mixing of tokens, then of channels, each behind a layer norm."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = nn.Sequential(nn.Linear(tokens, 24), nn.GELU(), nn.Linear(24, tokens))
        self.channels = nn.Sequential(nn.Linear(width, 48), nn.GELU(), nn.Linear(48, width, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.tokens(self.before(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.after(x))


class Mixer(nn.Module):
    """An MLP-mixer: linear layers on [n, tokens, width]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.blocks = nn.Sequential(MixerBlock(16, 24), MixerBlock(16, 24))
        self.norm, self.head = nn.LayerNorm(24), nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


class Attention(nn.Module):
    """Self-attention by hand over scaled_dot_product_attention, and nn.MultiheadAttention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.norm = nn.LayerNorm(24)
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.mix = nn.MultiheadAttention(24, 2, batch_first=True)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        count, tokens, width = x.shape
        queries, keys, values = self.qkv(self.norm(x)).reshape(count, tokens, 3, 3, width // 3).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        x = x + self.out(mixed.transpose(1, 2).reshape(count, tokens, width))
        x = x + self.mix(x, x, x, need_weights=False)[0]
        return self.head(x[:, 0])


class ChannelsLast(nn.Module):
    """A ConvNeXt block between a patch embedding and a channels-last head: linear layers on [n, height, width, c]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 2, stride=2)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm = nn.LayerNorm(16)
        self.expand, self.project = nn.Linear(16, 48), nn.Linear(48, 16)
        self.narrow, self.wide, self.again = nn.Conv2d(16, 24, 1), nn.Linear(24, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        x = x + self.project(F.gelu(self.expand(y))).permute(0, 3, 1, 2)
        # No norm and no residual here, so that all channels can go.
        x = F.relu(self.wide(F.relu(self.narrow(x)).permute(0, 2, 3, 1)))
        return self.head(F.relu(self.again(x)).mean((1, 2)))


class Folded(nn.Module):
    """Four windows of the image folded into the batch of a convolution, then all their places into that of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = nn.Conv2d(3, 16, 3, padding=1)
        self.second = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=2)
        self.places = nn.Linear(16, 24)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        count = x.shape[0]
        x = x.reshape(count, 3, 2, 8, 2, 8).permute(0, 2, 4, 1, 3, 5).reshape(count * 4, 3, 8, 8)
        x = F.relu(self.second(F.relu(self.windows(x))))
        x = F.relu(self.places(x.flatten(2).transpose(1, 2).reshape(-1, 16)))
        return self.head(x.reshape(count, 64, 24).mean(1))


class EncoderLayer(nn.Module):
    """A ready-made transformer layer with a learned class token and position."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.token = nn.Parameter(torch.randn(24))
        self.position = nn.Parameter(0.2 * torch.randn(1, 17, 24))
        self.layer = nn.TransformerEncoderLayer(24, 2, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.size(0), 1, -1), x], 1) + self.position
        return self.head(self.layer(x)[:, 0])
