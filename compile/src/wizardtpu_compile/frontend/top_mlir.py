"""The text that the vendor's front end makes of an ONNX model, before the driver takes it on."""

from __future__ import annotations

import re

from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.network.description import Gelu, Network

_NORMAL, _TANH = 'approx_mode = "normal"', 'approx_mode = "tanh"'


def amend(text: str, network: Network) -> str:
    """The same network with the outputs' own names, and with GELU in the form the description has.

    The front end adds the kind of operation to every name, and takes both forms of GELU for the exact one.

    Raises:
        ToolchainError: an output is not in the text.
    """
    for output in network.outputs:
        text, count = re.subn(rf'loc\("{re.escape(output.name)}_[A-Za-z]+"\)', f'loc("{output.name}")', text)
        if count != 1:
            raise ToolchainError(
                f"the front end named output {output.name} of {network.name} {count} times, not once"
            )
    forms = {operation.form for operation in network.operations if isinstance(operation, Gelu)}
    return text.replace(_NORMAL, _TANH) if forms == {"tanh"} else text
