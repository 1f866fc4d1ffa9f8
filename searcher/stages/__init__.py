"""The stages of a study, in order: prepare, quick, confirm, time."""
