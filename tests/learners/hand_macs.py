"""Multiply-accumulates of pruned networks of `tests.networks`, written down from their definitions.

Each function takes the channels that the groups keep, by the groups' names. An image has 16 x 16 places; a number of
places is written as such, then the taps of the kernel, then inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Kept = Mapping[str, int]
# Where the channels that a group keeps do not tell how many each layer has: the places of every layer's output, to be
# multiplied with the weights that are left.
HAND_PLACES: Mapping[str, Mapping[str, int]] = {
    "resnet-pad": {
        "stem.0": 256,
        "blocks.0.first.0": 256,
        "blocks.0.second.0": 256,
        "blocks.1.first.0": 64,
        "blocks.1.second.0": 64,
        "blocks.2.first.0": 64,
        "blocks.2.second.0": 64,
        "head": 1,
    },
    "shufflenet": {
        "stem.0": 256,
        "grouped.0": 256,
        "branch.0.0": 256,
        "branch.2.0": 256,
        "branch.3.0": 256,
        "last.0": 64,
        "head": 1,
    },
}
CLASSES = 10


def plain(kept: Kept) -> int:
    stem, body = kept["stem.0"], kept["body.0"]
    return 256 * 9 * 3 * stem + 64 * 9 * stem * body + body * CLASSES


def vgg(kept: Kept) -> int:
    first, second, hidden = kept["features.0"], kept["features.3"], kept["classifier.1"]
    return 256 * 9 * 3 * first + 64 * 9 * first * second + 16 * second * hidden + hidden * CLASSES


def densenet(kept: Kept) -> int:
    stem, one, two, last = kept["stem"], kept["convs.0"], kept["convs.1"], kept["transition"]
    dense = 256 * 9 * (3 * stem + stem * one + (stem + one) * two)
    return dense + 256 * (stem + one + two) * last + last * CLASSES


def squeeze_excite(kept: Kept) -> int:
    stem, body, gate = kept["stem.0"], kept["body.0"], kept["reduce"]
    return 256 * 9 * (3 * stem + stem * body) + 2 * body * gate + body * CLASSES


def resnet(kept: Kept) -> int:
    stem, wide = kept["stem.0"], kept["blocks.1.second.0"]
    first, second, third = (kept[f"blocks.{index}.first.0"] for index in range(3))
    narrow = 256 * 9 * (3 * stem + 2 * stem * first)
    strided = 64 * (9 * stem * second + 9 * second * wide + stem * wide)
    return narrow + strided + 64 * 9 * 2 * wide * third + wide * CLASSES


def mobilenet(kept: Kept) -> int:
    stem, wide = kept["features.0.0"], kept["features.3.project.0"]
    first, second, third = (kept[f"features.{index}.expand.0"] for index in (2, 3, 4))
    total = 64 * 9 * 3 * stem + 64 * (2 * stem * first + 9 * first)
    total += 64 * stem * second + 16 * (9 * second + second * wide)
    return total + 16 * (2 * wide * third + 9 * third) + wide * CLASSES


HAND_MACS: Mapping[str, Callable[[Kept], int]] = {
    "plain": plain,
    "vgg": vgg,
    "densenet": densenet,
    "squeeze-excite": squeeze_excite,
    "resnet-conv": resnet,
    "mobilenet": mobilenet,
}
