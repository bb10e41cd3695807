"""Whether the networks that were made compute what the checkpoint says."""
