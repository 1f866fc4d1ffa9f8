"""The folder that a user takes away."""
