"""The workload: a trained model, its data and its metric, built anywhere from names alone."""
