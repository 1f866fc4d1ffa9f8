"""Quantised weights: the grid they lie on and how they are fitted to it."""
