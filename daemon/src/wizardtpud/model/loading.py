"""Loading a bundle's networks on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.onnx import OnnxNetwork, OnnxRuntime
from wizardtpud.device.runtime import OnProgress, Runtime
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import NetworkEntry, Target

DEVICES: dict[str, Target] = {"cpu": "cpu", "simulator": "bm1684x"}
"""Names that `load` knows, and the target that a bundle for the device is built for."""


def load(
    bundle: Bundle,
    device: str,
    threads: int = 1,
    on_progress: OnProgress | None = None,
    *,
    library: Path | None = None,
    devices: Sequence[int] = (0,),
) -> Runtime:
    """Loads every network of a bundle.

    Args:
        bundle: what to load.
        device: one of `DEVICES`.
        threads: how many threads a CPU device uses for one network.
        on_progress: called with bytes loaded and bytes in all.
        library: the directory with the simulator's libraries, for that device.
        devices: numbers of the chips; the CPU has none.

    Raises:
        BundleError: the bundle is for another device.
        DeviceError: the device is unknown, or cannot load it.
    """
    if device not in DEVICES:
        raise DeviceError(f"unknown device {device!r}; known: {', '.join(DEVICES)}")
    if bundle.manifest.target != DEVICES[device]:
        raise BundleError(
            f"{bundle.directory} is for {bundle.manifest.target}, not for the device {device}; "
            f"build one with: wizardtpu-compile build CHECKPOINT --target {DEVICES[device]}"
        )
    if device == "simulator":
        return _simulate(bundle, library, on_progress, devices)
    networks = [OnnxNetwork(e.name, bundle.path(e.file), dimensions(e)) for e in bundle.manifest.networks]
    return OnnxRuntime(networks, threads, on_progress)


def dimensions(entry: NetworkEntry) -> dict[str, int]:
    """Sizes of the symbolic dimensions of a network's ONNX file."""
    tokens, history = entry.tokens or 1, entry.history or 0
    return {"batch": entry.batch, "tokens": tokens, "history": history, "total": history + tokens}


def _simulate(
    bundle: Bundle, directory: Path | None, on_progress: OnProgress | None, devices: Sequence[int]
) -> Runtime:
    bmodel = bundle.bmodel
    if len(devices) != bundle.manifest.devices:  # the runtime would load it, and compute nonsense
        raise BundleError(
            f"{bundle.directory} is for {bundle.manifest.devices} devices together, and the group has "
            f"{len(devices)}; set devices to groups of as many"
        )
    if directory is None:
        raise DeviceError(
            "the simulator needs the directory with its libraries: set library "
            "(to `simulator` in the directory of the compiler's toolchain)"
        )
    library = BmrtLibrary.load(directory)
    if not library.simulated:
        raise DeviceError(f"{directory} holds the libraries of a chip, not of the simulator")
    runtime = BmrtRuntime(bmodel, library, devices, shared_memory=True, device_bytes=bundle.device_bytes)
    try:
        if on_progress is not None:
            size = bmodel.stat().st_size
            on_progress(size, size)
    except BaseException:  # who listens may have had enough
        runtime.close()
        raise
    return runtime
