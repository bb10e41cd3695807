"""The demonstration model: its programming tasks, its training and its measurement."""
