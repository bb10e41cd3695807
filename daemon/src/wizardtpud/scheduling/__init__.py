"""Scheduling: who gets the device next, and the one thread that owns it."""
