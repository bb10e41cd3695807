"""The `wizardtpu-compile` command: one file for each of its commands."""
