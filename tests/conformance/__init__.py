"""Suites that run over every entry of the extension tables."""
