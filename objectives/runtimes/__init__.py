"""Runtimes: what an exported model runs on (`table.RUNTIMES`)."""
