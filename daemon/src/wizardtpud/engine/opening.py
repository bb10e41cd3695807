"""From a loaded model to an engine."""

from __future__ import annotations

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.engine import Engine
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.llm_convert.forward import LlmConvertForward
from wizardtpud.engine.wizardcoder_tpu.forward import WizardcoderForward
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.layout import resolve
from wizardtpud.model.llm_convert_layout import resolve_llm_convert
from wizardtpud.model.manifest import Manifest
from wizardtpud.model.wizardcoder_layout import resolve_wizardcoder


def make_engine(manifest: Manifest, runtime: Runtime, slots: int = 1) -> Engine:
    """An engine for a bundle's networks, as a runtime has loaded them.

    Raises:
        BundleError: a network is missing, or its tensors are not those of its role.
        DeviceError: the device has no room for that many slots.
    """
    return Engine(_forward(manifest, runtime, slots), manifest.end_of_text, runtime.telemetry)


def _forward(manifest: Manifest, runtime: Runtime, slots: int) -> Forward:
    numbers, context, networks = manifest.architecture, manifest.context, runtime.networks
    if manifest.layout == "wizardcoder-tpu":
        layout = resolve_wizardcoder(numbers, context, networks)
        return WizardcoderForward(runtime, layout, numbers.vocabulary, slots)
    if manifest.layout == "llm-convert":
        return LlmConvertForward(runtime, resolve_llm_convert(numbers, context, networks), slots)
    return StepForward(runtime, resolve(manifest, networks), slots)
