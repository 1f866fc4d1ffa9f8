"""Channel pruning: which channels depend on each other, in what order they go, and how a model is cut."""
