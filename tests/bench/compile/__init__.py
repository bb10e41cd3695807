"""Measures `wizardtpu-compile`: `python -m tests.bench.compile`."""
