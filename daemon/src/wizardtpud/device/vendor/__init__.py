"""What all ways to a TPU have in common: they go through the vendor's libraries, in the end through libbmlib."""
