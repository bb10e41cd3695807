"""Loading a bundle's networks on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wizardtpud.device.bmrt import BmrtLibrary, BmrtRuntime
from wizardtpud.device.bmrt.locations import CHIP, find_simulator
from wizardtpud.device.choice import BySail, DeviceChoice, DeviceKind, choose_for_chip, counted
from wizardtpud.device.onnx import OnnxNetwork, OnnxRuntime
from wizardtpud.device.runtime import OnProgress, Runtime
from wizardtpud.device.sail import SailRuntime
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import NetworkEntry, Target

_TARGETS: dict[DeviceKind, Target] = {"cpu": "cpu", "simulator": "bm1684x", "bmrt": "bm1684x", "sail": "bm1684x"}
"""What a bundle for a device is built for."""

_NOT_FOR_SAIL = ("wizardcoder-tpu",)
"""Layouts whose networks must share scratch memory, for which sophon-sail has no switch."""

_GOES_ON = "block_kv_0"
"""Of the layout llm-convert: such networks read a prompt on, from memory that `SailRuntime` does not show."""


def choose_device(bundle: Bundle, wanted: DeviceKind | None, library: Path | None = None) -> DeviceChoice:
    """What is to run a bundle.

    Args:
        bundle: what is to be run.
        wanted: what was asked for; None takes what the bundle needs and this machine has.
        library: the directory with the vendor's libraries, if they are not in their usual place.

    Raises:
        BundleError: the bundle is for another device.
        DeviceError: this machine has nothing that it runs on.
    """
    if wanted is not None:
        _check_fit(bundle, wanted)
        return DeviceChoice(wanted, "it was asked for")
    if bundle.manifest.target == "cpu":
        return DeviceChoice("cpu", "the bundle is for it")
    return choose_for_chip(library, _by_sail(bundle))


def load(
    bundle: Bundle,
    device: DeviceKind,
    threads: int = 1,
    on_progress: OnProgress | None = None,
    *,
    library: Path | None = None,
    devices: Sequence[int] = (0,),
) -> Runtime:
    """Loads every network of a bundle.

    Args:
        bundle: what to load.
        device: what runs it.
        threads: how many threads a CPU device uses for one network.
        on_progress: called with bytes loaded and bytes in all.
        library: the directory with the vendor's libraries, if they are not in their usual place.
        devices: numbers of the chips; the CPU has none.

    Raises:
        BundleError: the bundle is for another device, or another number of them.
        DeviceError: the device is missing, or cannot load it.
    """
    _check_fit(bundle, device)
    check_number(bundle, devices)
    if device == "cpu":
        networks = [OnnxNetwork(e.name, bundle.path(e.file), dimensions(e)) for e in bundle.manifest.networks]
        return OnnxRuntime(networks, threads, on_progress)
    runtime = _load_on_chip(bundle, device, library, devices)
    try:
        size = bundle.bmodel.stat().st_size
        if on_progress is not None:
            on_progress(size, size)
    except BaseException:  # who listens may have had enough
        runtime.close()
        raise
    return runtime


def dimensions(entry: NetworkEntry) -> dict[str, int]:
    """Sizes of the symbolic dimensions of a network's ONNX file."""
    tokens, history = entry.tokens or 1, entry.history or 0
    return {"batch": entry.batch, "tokens": tokens, "history": history, "total": history + tokens}


def _by_sail(bundle: Bundle) -> BySail:
    layout = bundle.manifest.layout
    if layout in _NOT_FOR_SAIL:
        return "impossible"
    return "slow" if layout == "llm-convert" and _GOES_ON in read_model(bundle.bmodel).networks else "good"


def _check_fit(bundle: Bundle, device: DeviceKind) -> None:
    manifest = bundle.manifest
    if device not in _TARGETS:
        raise DeviceError(f"unknown device {device!r}; known: {', '.join(_TARGETS)}")
    if manifest.target != _TARGETS[device]:
        raise BundleError(
            f"{bundle.directory} is for {manifest.target}, not for the device {device}; "
            f"build one with: wizardtpu-compile build CHECKPOINT --target {_TARGETS[device]}"
        )
    if device == "sail" and manifest.layout in _NOT_FOR_SAIL:
        raise BundleError(
            f"{bundle.directory} has networks in the layout {manifest.layout}, which sophon-sail cannot run; "
            "use --device bmrt"
        )


def check_number(bundle: Bundle, devices: Sequence[int]) -> None:
    """Sees that a bundle is for as many devices; a runtime would load it for others without complaint.

    Raises:
        BundleError: it is not.
    """
    number = bundle.manifest.devices
    if len(devices) != number:
        raise BundleError(
            f"{bundle.directory} is for {counted(number)} and was given {counted(len(devices))} "
            f"({', '.join(map(str, devices))}); each group of the key devices must name {number}"
        )


def _load_on_chip(bundle: Bundle, device: DeviceKind, library: Path | None, devices: Sequence[int]) -> Runtime:
    bmodel = bundle.bmodel
    if device == "sail":
        return SailRuntime(bmodel, devices, device_bytes=bundle.unshared_device_bytes)
    found = BmrtLibrary.load(library or (find_simulator() if device == "simulator" else CHIP))
    if device == "simulator" and not found.simulated:
        raise DeviceError(f"{found.directory} holds the libraries of a chip, not of the simulator")
    return BmrtRuntime(bmodel, found, devices, bundle.device_bytes)
