"""Text of a module in the compiler's intermediate language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_UNKNOWN = "loc(unknown)"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a program.

    Attributes:
        name: what the compiler calls it: that of an input, an output or an array of the weight file.
        shape: static.
        element: the compiler's name for the type of its elements.
        register: what stands for it in the text; empty before it is computed there.
    """

    name: str
    shape: tuple[int, ...]
    element: str
    register: str = ""

    @property
    def type(self) -> str:
        return f"tensor<{'x'.join(map(str, self.shape))}x{self.element}>"


NOTHING = Tensor("none", (), "", "%none")
"""Stands for an operand that is left out."""


class ModuleText:
    """Collects the operations of one function; the same calls give the same text."""

    def __init__(self) -> None:
        self._arguments: list[Tensor] = []
        self._lines = [f'%none = "top.None"() : () -> none {_UNKNOWN}']

    def argument(self, tensor: Tensor) -> Tensor:
        """An input of the function."""
        argument = replace(tensor, register=f"%arg{len(self._arguments)}")
        self._arguments.append(argument)
        return self.add("top.Input", [argument], "do_preprocess = false", tensor)

    def add(self, kind: str, operands: Sequence[Tensor], attributes: str, result: Tensor) -> Tensor:
        """An operation with one result."""
        register = f"%{len(self._lines)}"
        self._lines.append(
            f"{register} = {_call(kind, operands, attributes)} -> {result.type} {_place(result.name)}"
        )
        return replace(result, register=register)

    def add_pair(
        self, kind: str, operands: Sequence[Tensor], attributes: str, results: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """An operation with two results."""
        register = f"%{len(self._lines)}"
        places = ", ".join(f'"{result.name}"' for result in results)
        types = f"({_types(results)})"
        self._lines.append(f"{register}:2 = {_call(kind, operands, attributes)} -> {types} loc(fused[{places}])")
        first, second = results
        return replace(first, register=f"{register}#0"), replace(second, register=f"{register}#1")

    def render(self, name: str, attributes: Iterable[str], outputs: Sequence[Tensor]) -> str:
        """The module, whose function gives `outputs`."""
        arguments = ", ".join(f"{argument.register}: {argument.type} {_UNKNOWN}" for argument in self._arguments)
        body = "".join(f"    {line}\n" for line in self._lines)
        returned, types = ", ".join(output.register for output in outputs), _types(outputs)
        return (
            f"module @{name} attributes {{{', '.join(attributes)}}} {{\n"
            f"  func.func @main({arguments}) -> ({types}) {{\n"
            f"{body}    return {returned} : {types} {_UNKNOWN}\n"
            f"  }} {_UNKNOWN}\n}} {_UNKNOWN}\n"
        )


def _call(kind: str, operands: Sequence[Tensor], attributes: str) -> str:
    taken = ", ".join(operand.register for operand in operands)
    given = f" {{{attributes}}}" if attributes else ""
    return f'"{kind}"({taken}){given} : ({_types(operands)})'


def _types(tensors: Iterable[Tensor]) -> str:
    return ", ".join("none" if tensor is NOTHING else tensor.type for tensor in tensors)


def _place(name: str) -> str:
    return f'loc("{name}")'
