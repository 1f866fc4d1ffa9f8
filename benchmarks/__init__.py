"""What Slimfront claims, measured: `python -m benchmarks` writes benchmarks/results/."""
