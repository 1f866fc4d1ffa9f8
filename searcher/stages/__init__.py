"""The stages of a study, in order: prepare, quick, rescore, confirm, time."""
