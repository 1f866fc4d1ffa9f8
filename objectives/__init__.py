"""Judges: workload, runtimes, accuracy, latency, targets, baselines and the Pareto front."""
