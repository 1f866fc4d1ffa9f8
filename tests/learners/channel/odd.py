"""Networks that try to break the coupling of channels, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from tests.learners.channel import odd_joins as joins
from tests.learners.channel import odd_shapes as shapes
from tests.learners.channel.odd_parts import SHAPE, Odd

__all__ = ["ODD", "SHAPE", "build_odd"]

ODD: Mapping[str, Callable[[], Odd]] = {
    "odd counts": joins.odd_counts,
    "x + conv(x)": joins.own_addition,
    "shortcut first": joins.shortcut_first,
    "x + grouped(x)": joins.grouped_addition,
    "protected reader": joins.protected_reader,
    "two heads": joins.two_heads,
    "channels merged with space": joins.merged_with_space,
    "pixel shuffle": joins.pixel_shuffle,
    "one channel": joins.one_channel,
    "dead channels": joins.dead_channels,
    "cat([x, x])": joins.twice_the_same,
    "slices": joins.sliced,
    "rolled": joins.rolled,
    "every second channel": joins.every_second,
    "uneven chunks": joins.uneven_chunks,
    "split by sizes": joins.split_sizes,
    "overlapping slices": joins.overlapping_slices,
    "in place": joins.in_place,
    "maxout": joins.maxout,
    "gated by the input": joins.gated_by_input,
    "joined with the input": joins.joined_with_the_input,
    "softmax over channels": joins.softmax_over_channels,
    "mean over channels": joins.mean_over_channels,
    "flattened twice": shapes.flat_twice,
    "grouped chain": shapes.grouped_chain,
    "depthwise that multiplies": shapes.multiplied_depthwise,
    "depthwise on the input": shapes.depthwise_input,
    "tokens": shapes.transposed_tokens,
    "tokens merged with the batch": shapes.merged_tokens,
    "channels added to some others": shapes.partly_added,
    "flattened and added": shapes.flat_addition,
    "joined and added": shapes.joined_addition,
    "two norms of one layer": shapes.norm_twice,
    "stacked": shapes.stacked,
    "selective kernel": shapes.selective_kernel,
    "instance norm": shapes.instance_norm,
    "padded channels": shapes.padded_channels,
    "padded input": shapes.padded_input,
    "padded with ones": shapes.padded_with_ones,
    "expanded": shapes.expanded,
    "resized to a size": shapes.upsampled_sizes,
    "split into ten": joins.split_into_ten,
    "channel shuffle": joins.channel_shuffle,
    "local response norm": joins.local_response_norm,
    "bare squeeze": joins.bare_squeeze,
    "learned scale": shapes.learned_scale,
    "scale read twice": shapes.shared_scale,
    "flattened gate": shapes.flattened_gate,
}


def build_odd(name: str) -> nn.Module:
    """The network called `name` in eval mode; the same weights each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = ODD[name]()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.3, 0.3)
                assert module.running_mean is not None
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
    return model.eval()
