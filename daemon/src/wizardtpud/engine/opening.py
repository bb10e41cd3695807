"""From a loaded model to an engine."""

from __future__ import annotations

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.engine import Engine
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.layout import resolve
from wizardtpud.model.manifest import Manifest


def make_engine(manifest: Manifest, runtime: Runtime, slots: int = 1) -> Engine:
    """An engine for a bundle's networks, as a runtime has loaded them.

    Raises:
        BundleError: a network is missing, or its tensors are not those of its role.
        DeviceError: the device has no room for that many slots.
    """
    forward = StepForward(runtime, resolve(manifest, runtime.networks), slots)
    return Engine(forward, manifest.end_of_text, runtime.telemetry)
