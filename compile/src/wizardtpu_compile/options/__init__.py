"""What a person may ask of a build: `CpuOptions` for the CPU, `TpuOptions` for the BM1684X."""

from wizardtpu_compile.options.common import BuildOptions
from wizardtpu_compile.options.cpu import CpuOptions
from wizardtpu_compile.options.tpu import TpuOptions

__all__ = ["BuildOptions", "CpuOptions", "TpuOptions"]
