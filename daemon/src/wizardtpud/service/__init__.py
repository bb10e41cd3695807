"""Wires the parts of the daemon together: configuration, start, ready, drain, stop."""
