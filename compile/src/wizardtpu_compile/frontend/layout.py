"""What the two layouts of networks ask of the vendor's driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wizardtpu_compile.options.tpu import NetLayout
from wizardtpu_compile.precision import WeightFormat

# In layout "wizardtpu" inputs and outputs are wherever a launch says, of the type the network computes in; in the
# other one they are float32 and lie in the memory that networks share.
_LAYOUT_ARGUMENTS: Mapping[NetLayout, tuple[str, ...]] = {
    "wizardtpu": ("--quant_input", "--quant_output", "--addr_mode", "io_reloc"),
    "wizardcoder-tpu": (),
}


def deploy_arguments(layout: NetLayout, form: WeightFormat | None) -> Sequence[str]:
    """Arguments of `model_deploy` that decide what a network is like; no form is float32 throughout."""
    arguments = ["--quantize", _mode(form), *_LAYOUT_ARGUMENTS[layout]]
    if form is not None and form.group_size is not None:
        arguments += ["--q_group_size", str(form.group_size)]
    return arguments


def _mode(form: WeightFormat | None) -> str:
    if form is None:
        return "F32"
    return form.float.upper() if form.bits == 16 else f"W{form.bits}{form.float.upper()}"
