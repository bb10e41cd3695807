"""Measures the project beside what else could do its work: `python -m tests.bench`."""
