"""Loading a bundle's networks on a device."""

from __future__ import annotations

from wizardtpud.device.onnx import OnnxNetwork, OnnxRuntime
from wizardtpud.device.runtime import OnProgress, Runtime
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import NetworkEntry

DEVICES = ("cpu",)
"""Names that `load` knows."""


def load(bundle: Bundle, device: str, threads: int = 1, on_progress: OnProgress | None = None) -> Runtime:
    """Loads every network of a bundle.

    Args:
        bundle: what to load.
        device: one of `DEVICES`.
        threads: how many threads a CPU device uses for one network.
        on_progress: called with bytes loaded and bytes in all.

    Raises:
        BundleError: the bundle is for another device.
        DeviceError: the device is unknown, or cannot load it.
    """
    if device not in DEVICES:
        raise DeviceError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if bundle.manifest.target != device:
        raise BundleError(
            f"{bundle.directory} is for {bundle.manifest.target}, not for {device}; "
            f"build one with: wizardtpu-compile build CHECKPOINT --target {device}"
        )
    networks = [OnnxNetwork(e.name, bundle.path(e.file), dimensions(e)) for e in bundle.manifest.networks]
    return OnnxRuntime(networks, threads, on_progress)


def dimensions(entry: NetworkEntry) -> dict[str, int]:
    """Sizes of the symbolic dimensions of a network's ONNX file."""
    tokens, history = entry.tokens or 1, entry.history or 0
    return {"batch": entry.batch, "tokens": tokens, "history": history, "total": history + tokens}
