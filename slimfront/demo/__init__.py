"""The demonstration: a small network on scikit-learn's digits."""
