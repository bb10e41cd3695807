"""What runs a bundle, and how one is built for it."""
