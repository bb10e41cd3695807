"""Turns network descriptions into what a target runs."""
