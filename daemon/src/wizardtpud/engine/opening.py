"""From a loaded model to an engine."""

from __future__ import annotations

from wizardtpud.device.runtime import Runtime
from wizardtpud.engine.engine import Engine
from wizardtpud.engine.forward import Forward
from wizardtpud.engine.llm_convert.forward import LlmConvertForward
from wizardtpud.engine.wizardcoder_tpu.forward import WizardcoderForward
from wizardtpud.engine.wizardtpu.forward import StepForward
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder
from wizardtpud.model.layout import resolve
from wizardtpud.model.manifest import Manifest


def make_engine(manifest: Manifest, runtime: Runtime, slots: int = 1) -> Engine:
    """An engine for a bundle's networks, as a runtime has loaded them.

    Raises:
        BundleError: a network is missing, or its tensors are not those of its role.
        DeviceError: the device has no room for that many slots.
    """
    return Engine(_forward(manifest, runtime, slots), manifest.end_of_text, runtime.telemetry)


def _forward(manifest: Manifest, runtime: Runtime, slots: int) -> Forward:
    if manifest.layout == "wizardcoder-tpu":
        return WizardcoderForward(runtime, LoadedWizardcoder.of(manifest, runtime.networks), slots)
    if manifest.layout == "llm-convert":
        return LlmConvertForward(runtime, LoadedLlmConvert.of(manifest, runtime.networks), slots)
    return StepForward(runtime, resolve(manifest, runtime.networks), slots)
