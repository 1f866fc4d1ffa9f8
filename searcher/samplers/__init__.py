"""Samplers: what proposes candidates (`table.SAMPLERS`)."""
