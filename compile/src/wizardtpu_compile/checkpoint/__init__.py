"""Reads GPTBigCode checkpoints, one tensor at a time."""
