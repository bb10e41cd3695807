"""What every device checks before it touches memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from numpy.typing import NDArray

from wizardtpud.device.runtime import Buffer, Network, TensorSpec
from wizardtpud.errors import DeviceError


def check_view(buffer: Buffer, shape: tuple[int, ...], offset: int) -> None:
    """Requires that `buffer` holds a tensor of `shape` from element `offset` on."""
    end = offset + prod(shape)
    if offset < 0 or end > buffer.size:
        raise DeviceError(f"a view of elements {offset} to {end} is outside a buffer of {buffer.size}")


def check_write(buffer: Buffer, array: NDArray[Any]) -> None:
    """Requires that `array` has the shape and dtype of `buffer`."""
    if array.shape != buffer.shape or array.dtype != buffer.dtype:
        raise DeviceError(f"cannot write {array.dtype}{array.shape} to a buffer of {buffer.dtype}{buffer.shape}")


def check_copy(buffer: Buffer, source: Buffer) -> None:
    """Requires that `source` is a buffer of the same device, size and dtype."""
    if not isinstance(source, type(buffer)) or source.dtype != buffer.dtype or source.size != buffer.size:
        raise DeviceError(f"cannot copy {source.dtype}{source.shape} to a buffer of {buffer.dtype}{buffer.shape}")


def check_network(networks: Mapping[str, Network], name: str) -> None:
    """Requires that a network is loaded."""
    if name not in networks:
        raise DeviceError(f"no network {name!r} is loaded; there are {', '.join(networks) or 'none'}")


def check_number(network: str, specs: Sequence[TensorSpec], buffers: Sequence[Buffer]) -> None:
    """Requires as many buffers as a network has inputs, or outputs."""
    if len(specs) != len(buffers):
        raise DeviceError(f"{network} takes {len(specs)} tensors ({', '.join(s.name for s in specs)})")


def misfit(network: str, spec: TensorSpec, buffer: Buffer) -> DeviceError:
    """What to raise if a buffer cannot be bound to a network's tensor."""
    return DeviceError(
        f"{network}: {spec.name} is {spec.dtype}{spec.shape}; a {type(buffer).__name__} "
        f"of {buffer.dtype}{buffer.shape} does not fit"
    )
