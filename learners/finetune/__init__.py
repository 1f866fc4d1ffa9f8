"""Fine-tuning: trains a candidate's weights and activation grids at the levels that it has."""
