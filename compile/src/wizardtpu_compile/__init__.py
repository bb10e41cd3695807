"""Turns checkpoints into bundles for wizardtpud."""
