"""What the vendor's other converters, which are imported with the one that is used, ask of `torch.nn`."""

from __future__ import annotations


class Module:
    """Only inherited from."""
