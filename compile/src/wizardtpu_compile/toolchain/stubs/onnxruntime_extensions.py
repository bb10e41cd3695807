"""Stands in for onnxruntime-extensions, with which the vendor's front end for ONNX declares operators of its own.

Installed by wizardtpu-compile into the front end's own environment. The declarations are accepted and forgotten:
networks that use those operators cannot be converted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class PyOp:
    """Names of element types."""

    dt_float = "float"
    dt_int64 = "int64"


class PyOrtFunction:
    """Only its name is imported."""


def onnx_op(*_arguments: Any, **_attributes: Any) -> Callable[[Any], Any]:
    """A decorator that leaves the function as it is."""
    return lambda function: function
