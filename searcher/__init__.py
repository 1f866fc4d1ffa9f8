"""Proposes: samplers and the controller that runs a study."""
