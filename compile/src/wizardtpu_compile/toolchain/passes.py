"""The passes of the vendor's compiler that lowered MLIR goes through, and why with these options.

Lowering itself is not among them: it quantizes the weights and takes most of the time and memory of the vendor's
own driver. The order is that driver's; so is the value of every option that is not named.
"""

from __future__ import annotations

ADDRESSED, BMODEL = "addressed.mlir", "network.bmodel"
"""What the first and the second call write into the directory they run in."""

_OPTIMIZE = (
    "--mlir-disable-threading",  # several networks are compiled side by side instead
    # Inputs and outputs keep the type the network computes in, rather than being cast from and to float32.
    "--strip-io-quant=quant_input=True quant_output=True",
    "--processor-tpu-optimize",
    "--dev-parallel",  # divides a network that is meant for several devices
    "--weight-reorder",
    "--subnet-divide=dynamic=False",  # every network has the shapes it will run with
    "--op-reorder",
    "--topo-sort",
    # Operations that follow each other within the chip's own memory; 2 searches for the groups that cost least.
    "--layer-group=opt=2 group_by_cores=auto compress_mode=none",
    "--affine-opt",
    "--core-parallel",
    "--after-layergroup-weight-reorder",
    "--address-assign",
)
# Besides the bmodel this writes how many cycles the chip will take, as the compiler estimates them.
_GENERATE = f"--codegen=model_file={BMODEL} embed_debug_info=False model_version=latest bmodel_only=False"


def calls(mlir: str) -> tuple[tuple[str, ...], ...]:
    """The arguments of the compiler's calls, one after the other: to a program with addresses, to instructions."""
    return (mlir, *_OPTIMIZE, "-o", ADDRESSED), (ADDRESSED, _GENERATE, "-o", "/dev/null")
