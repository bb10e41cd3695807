"""Models: the bundle on disk, and finding a model's networks among those a device has loaded."""
