"""What is refused before anything is compiled."""

from __future__ import annotations

from dataclasses import fields

from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.frontend.tools import find_frontend
from wizardtpu_compile.options.tpu import TpuOptions
from wizardtpu_compile.toolchain.toolchain import Toolchain

_DEFAULTS = {field.name: field.default for field in fields(TpuOptions)}

# Option, its attribute, and the value that says what the layout has anyway.
_FIXED = (
    ("--slots", "slots", 1),
    ("--verify", "verify_tokens", 0),
    ("--prefill-chunks", "prefill_chunks", ()),
    ("--layers-per-net", "layers_per_net", 1),
)


def check(options: TpuOptions, toolchain: Toolchain) -> None:
    """Refuses a build by way of ONNX that cannot be done.

    Raises:
        OptionError: an option makes no sense with the layout or with ONNX.
        ToolchainError: the front end is not installed.
    """
    if options.layout == "wizardcoder-tpu":
        _check_shapes(options)
    if options.num_device > 1:
        raise OptionError(
            f"--num-device {options.num_device} does not go with --frontend onnx: the vendor's compiler does not "
            "divide what comes from ONNX, every chip would do all the work; leave --frontend out"
        )
    find_frontend(toolchain)


def _check_shapes(options: TpuOptions) -> None:
    for option, attribute, fixed in _FIXED:
        value = getattr(options, attribute)
        if value not in (fixed, _DEFAULTS[attribute]):
            raise OptionError(
                f"{option} does not go with --layout wizardcoder-tpu, which has one layer in each network, "
                "the whole context as its only chunk, and one sequence; leave it out"
            )
