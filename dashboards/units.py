"""Figures as people read them: the same words on the terminal and on pages."""

from __future__ import annotations

KILO, MEGA = 1e3, 1e6


def milliseconds(value: float) -> str:
    """A latency with as many decimals as repeat from one measurement to the next."""
    return f"{value:.{3 if value < 1 else 2}f} ms"


def plural(count: int, noun: str) -> str:
    """ "1 layer", "2 layers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: float) -> str:
    """Bytes as "123 B", "12.3 KB" or "1.23 MB" (1 KB = 1000 bytes)."""
    if count < KILO:
        return f"{count:.0f} B"
    return f"{count / KILO:.1f} KB" if count < MEGA else f"{count / MEGA:.2f} MB"


def count(number: float) -> str:
    """A number of weights or MACs as "123", "12.3 K" or "1.23 M"."""
    if number < KILO:
        return f"{number:.0f}"
    return f"{number / KILO:.1f} K" if number < MEGA else f"{number / MEGA:.2f} M"


def duration(seconds: float) -> str:
    """ "0.4 s", "12 s", "3 min 20 s" or "2 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
