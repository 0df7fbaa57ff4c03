"""Strengths of injected pixels."""

STRENGTHS = (2, 3, 4, 6, 10, 20, 40)  # in units of the noise
