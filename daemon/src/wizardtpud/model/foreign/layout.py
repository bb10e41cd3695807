"""What the foreign layouts have in common: networks that are known by their names, tensors by their positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Net, Stage, Tensor
from wizardtpud.model.manifest import NetworkLayout

INTEGER = "int32"
"""Type of token ids, of positions, and of the token that a head chose."""
FLOATS = ("float32", "float16", "bfloat16")
"""Types that hidden states may have."""

Plain = tuple[str, tuple[int, ...]]
"""Type and shape of a tensor; its name is the compiler's, and tells nothing."""


@dataclass(frozen=True)
class Dimensions:
    """The numbers of a model, as far as the shapes of its networks tell them.

    Attributes:
        kv_heads: of keys and values each; absent, as is `head_dim`, where several chips share the networks of a
            layer, and each has its part of the heads.
        vocabulary: absent where the head gives a token and no logits.
        context: rows of history that a layer takes when it adds a token.
        chunk: tokens that a layer reads in one go.
        dtype: of hidden states, attention masks, keys and values.
    """

    layers: int
    hidden: int
    kv_heads: int | None
    head_dim: int | None
    vocabulary: int | None
    context: int
    chunk: int
    dtype: str


@dataclass(frozen=True)
class Signature:
    """The tensors that a stage of a network has."""

    inputs: tuple[Plain, ...]
    outputs: tuple[Plain, ...]

    @classmethod
    def of(cls, stage: Stage) -> Signature:
        return cls(_plain(stage.inputs), _plain(stage.outputs))

    def __str__(self) -> str:
        return f"{_text(self.inputs)} -> {_text(self.outputs)}"


class ForeignLayout(ABC):
    """Names, shapes and numbers of the networks of one layout.

    Attributes:
        name: as the manifest has it.
        heads: networks that a model has once.
        blocks: what the names of the networks of every layer begin with.
        optional: what networks begin with that all layers have, or none.
    """

    name: ClassVar[NetworkLayout]
    heads: ClassVar[tuple[str, ...]]
    blocks: ClassVar[tuple[str, ...]] = ("block_", "block_cache_")
    optional: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def dimensions(self, nets: Mapping[str, Net], layers: int) -> Dimensions:
        """Reads the numbers from the first layer and the heads.

        Raises:
            BundleError: a shape tells no number.
        """

    @abstractmethod
    def signature(self, network: str, stage: Stage, numbers: Dimensions) -> Signature | None:
        """What a stage of a network must have; none if the network is not needed to serve the model."""

    def missing(self, nets: Mapping[str, Net], layers: int) -> list[str]:
        """Networks that a model of so many layers lacks."""
        prefixes = [*self.blocks, *(p for p in self.optional if any(_is_block(name, p) for name in nets))]
        wanted = [*self.heads, *(f"{prefix}{layer}" for layer in range(layers) for prefix in prefixes)]
        return [name for name in wanted if name not in nets]


def shape(network: str, tensors: tuple[Tensor, ...], index: int, rank: int) -> tuple[int, ...]:
    """The shape of the tensor at a position.

    Raises:
        BundleError: there is no such tensor, or it has not `rank` dimensions.
    """
    found = tensors[index].shape if index < len(tensors) else ()
    if len(found) != rank or 0 in found:
        tensor = f"tensor {index} of {_text(_plain(tensors))}"
        raise BundleError(f"network {network}: {tensor} must have {rank} dimensions; compile it again")
    return found


def _is_block(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.removeprefix(prefix).isdecimal()


def _plain(tensors: Iterable[Tensor]) -> tuple[Plain, ...]:
    return tuple((tensor.dtype, tensor.shape) for tensor in tensors)


def _text(tensors: Iterable[Plain]) -> str:
    return "(" + ", ".join(f"{dtype}{list(sizes)}" for dtype, sizes in tensors) + ")"
