"""Scheduling: who gets a device next, and the one thread that owns each."""
