"""The traced model as data: a graph of ATen operations, how it is made, folded and run."""
