"""The vendor's file of compiled networks: writing it, and putting many into one. The daemon reads it."""
