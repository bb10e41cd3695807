"""The table of contents of a `.bin` file: a pickle, of which only what tensors take is understood.

A pickle is a program that may call anything. It is not run here: `pickletools` of the standard library takes it
apart, and the few instructions that checkpoints are made of are followed by a machine that can build numbers,
text, tuples, lists, dicts and `TorchTensor`, and cannot import, call or change anything else.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard


class PickleError(Exception):
    """A pickle asks for something that tensors do not need."""


@dataclass(frozen=True)
class StorageType:
    """A class like torch.HalfStorage, by numpy's name of its elements' type."""

    dtype: str


@dataclass(frozen=True)
class Storage:
    """Elements in the archive's entry `key`; tensors may share one."""

    dtype: str
    key: str
    elements: int


@dataclass(frozen=True)
class TorchTensor:
    """A view of a storage; `offset` and `strides` count elements. It may claim to reach beyond the storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(data: bytes) -> dict[str, TorchTensor]:
    """The tensors of a table of contents by name.

    Raises:
        PickleError: it holds more than tensors by name; says what.
        ValueError: it is damaged.
    """
    try:
        contents = _Machine().run(data)
    except (ValueError, IndexError, KeyError, TypeError):  # of pickletools and the machine: no sound pickle
        raise ValueError("its table of contents is damaged") from None
    if not isinstance(contents, dict) or not all(isinstance(value, TorchTensor) for value in contents.values()):
        raise PickleError("it does not hold tensors by name")
    return contents


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0


def _are_counts(value: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(value, tuple) and all(_is_count(item) for item in value)


def _tensor(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _requires_grad: object = False,
    _backward_hooks: object = None,
    flags: object = None,
) -> TorchTensor:
    """torch._utils._rebuild_tensor_v2; the flags say that the elements are stored negated or conjugated."""
    if not (isinstance(storage, Storage) and _is_count(offset) and _are_counts(shape) and _are_counts(strides)):
        raise TypeError
    if len(shape) != len(strides):
        raise ValueError
    if flags:
        raise PickleError("a tensor is stored negated or conjugated")
    return TorchTensor(storage, offset, shape, strides)


def _parameter(tensor: object, *_: object) -> TorchTensor:
    """torch._utils._rebuild_parameter; what follows the tensor is about gradients."""
    if not isinstance(tensor, TorchTensor):
        raise TypeError
    return tensor


def _ordered_dict() -> dict[str, object]:
    return {}


_STORAGES = {
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Double": "float64",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
}
# By module and name with a space between them, as pickletools gives them.
_GLOBALS: dict[str, StorageType | Callable[..., object]] = {
    **{f"torch {name}Storage": StorageType(dtype) for name, dtype in _STORAGES.items()},
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "collections OrderedDict": _ordered_dict,
}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"})
_CONSTANTS: dict[str, Callable[[], object]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}


class _Machine:
    """Follows the instructions of a pickle, as the documentation in pickletools tells them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> object:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                break
            self._follow(opcode.name, argument)
        return self._stack.pop()

    def _follow(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        else:
            raise PickleError(f"its table of contents holds the instruction {name}")

    def _pop_marked(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _proto(self, _: int) -> None:
        """Says which instructions may follow; those that are not known are refused anyway."""

    def _mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _tuple(self, _: None) -> None:
        items = self._pop_marked()
        self._stack.append(tuple(items))

    def _tuple1(self, _: None) -> None:
        self._stack.append((self._stack.pop(),))

    def _tuple2(self, _: None) -> None:
        second, first = self._stack.pop(), self._stack.pop()
        self._stack.append((first, second))

    def _tuple3(self, _: None) -> None:
        third, second, first = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._stack.append((first, second, third))

    def _append(self, _: None) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: None) -> None:
        self._extend(self._pop_marked())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise TypeError
        self._stack[-1].extend(items)

    def _setitem(self, _: None) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: None) -> None:
        self._update(self._pop_marked())

    def _update(self, items: list[Any]) -> None:
        """Keys can only be text: hashing a tuple can take for ever."""
        keys, values = items[::2], items[1::2]
        if not isinstance(self._stack[-1], dict) or not all(isinstance(key, str) for key in keys):
            raise TypeError
        self._stack[-1].update(zip(keys, values, strict=True))

    def _global(self, name: str) -> None:
        if name not in _GLOBALS:
            shown = ascii(name[:100].replace(" ", "."))
            raise PickleError(f"its table of contents asks for {shown}")
        self._stack.append(_GLOBALS[name])

    def _reduce(self, _: None) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if function not in (_tensor, _parameter, _ordered_dict) or not isinstance(arguments, tuple):
            raise TypeError
        self._stack.append(function(*arguments))

    def _persistent(self, _: None) -> None:
        """A storage: ("storage", type, key, device, elements)."""
        kind, type_, key, _device, elements = self._stack.pop()
        if kind != "storage" or not isinstance(type_, StorageType):
            raise TypeError
        if not (isinstance(key, str) and _is_count(elements)):
            raise TypeError
        self._stack.append(Storage(type_.dtype, key, elements))

    def _build(self, _: None) -> None:
        """Gives an object attributes: a dict of tensors has notes of torch's there, which are dropped."""
        self._stack.pop()
        if not isinstance(self._stack[-1], dict):
            raise TypeError


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": _Machine._proto,
    "MARK": _Machine._mark,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "TUPLE": _Machine._tuple,
    "TUPLE1": _Machine._tuple1,
    "TUPLE2": _Machine._tuple2,
    "TUPLE3": _Machine._tuple3,
    "APPEND": _Machine._append,
    "APPENDS": _Machine._appends,
    "SETITEM": _Machine._setitem,
    "SETITEMS": _Machine._setitems,
    "GLOBAL": _Machine._global,
    "REDUCE": _Machine._reduce,
    "BINPERSID": _Machine._persistent,
    "BUILD": _Machine._build,
}
