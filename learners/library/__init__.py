"""The level library: every layer's weights at every level, built once for a workload and then only read."""
