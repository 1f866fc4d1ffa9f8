"""Colours that can be exchanged and told apart."""

from __future__ import annotations

import re

import pytest

from dashboards.figures.theme import DARK, LIGHT, Palette, exchange, plain

READABLE = 4.5  # least contrast of text by the Web Content Accessibility Guidelines 2
VISIBLE = 3.0  # of graphical objects


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_each_role_has_a_colour_of_its_own(palette: Palette) -> None:
    colours = palette.colours()
    assert len(set(colours)) == len(colours)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour) for colour in colours)


def test_palettes_are_exchanged_role_by_role() -> None:
    assert exchange()[LIGHT.front] == DARK.front
    assert exchange()[LIGHT.samplers[-1]] == DARK.samplers[-1]
    assert exchange(DARK, LIGHT)[DARK.target_area] == LIGHT.target_area


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_and_marks_stand_out_from_the_ground(palette: Palette) -> None:
    for colour in (palette.text, palette.muted, palette.baseline, palette.best, palette.target):
        assert contrast(colour, palette.ground) >= READABLE, colour
    for colour in (palette.front, palette.confirmed, palette.knee, *palette.samplers):
        assert contrast(colour, palette.ground) >= VISIBLE, colour
    assert contrast(palette.text, palette.target_area) >= READABLE


def test_names_of_users_are_no_markup() -> None:
    assert plain("<b>a</b> & <a href='x'>") == "&lt;b&gt;a&lt;/b&gt; &amp; &lt;a href='x'&gt;"
