"""Devices: one small interface to a loaded model's networks, and its implementations.

Nothing in this package knows what a language model is.
"""
