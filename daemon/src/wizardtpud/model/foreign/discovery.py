"""Which foreign layout the networks of a bmodel are in, and the numbers of the model they make up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Model, Net
from wizardtpud.model.foreign.layout import Dimensions, ForeignLayout, Signature
from wizardtpud.model.foreign.llm_convert import LlmConvert
from wizardtpud.model.foreign.wizardcoder import WizardcoderTpu
from wizardtpud.model.manifest import NetworkLayout

_BLOCK = re.compile(r"block_(?:cache_|kv_)?(\d{1,5})")
_BY_INPUTS: dict[int, ForeignLayout] = {5: LlmConvert(), 3: WizardcoderTpu()}
"""By what a layer that adds a token takes: positions, keys and values each by themselves, or neither."""


@dataclass(frozen=True)
class Found:
    """A model that is known by its networks."""

    layout: NetworkLayout
    numbers: Dimensions


def discover(model: Model) -> Found:
    """Looks at the names and shapes of networks.

    Raises:
        BundleError: they are in no known layout, one is missing, or the shapes of one do not go with the others'.
    """
    nets = {name: parts[0] for name, parts in model.networks.items()}
    layout, layers = _layout(nets.values()), _layers(nets)
    if missing := layout.missing(nets, layers):
        raise BundleError(
            f"it has {layers} layers in the layout {layout.name}, and lacks {_listed(missing)}{_hint(missing)}; "
            "compile it again"
        )
    numbers = layout.dimensions(nets, layers)
    for net in nets.values():
        if net.network == net.name:  # else each of several chips has a part of it, of shapes of its own
            _check(layout, net, numbers)
    return Found(layout.name, numbers)


def _layout(nets: Collection[Net]) -> ForeignLayout:
    """By the first layer that adds a token."""
    for net in nets:
        if net.network.startswith("block_cache_") and len(net.stages[0].inputs) in _BY_INPUTS:
            return _BY_INPUTS[len(net.stages[0].inputs)]
    names = [net.network for net in nets]
    if "embedding_b1_t1" in names:
        raise BundleError(
            "it is of a bundle of wizardtpu-compile, whose manifest.json is missing; copy the whole bundle again"
        )
    raise BundleError(
        f"its networks ({_listed(names)}) are in no layout known here: that of llm_convert.py has embedding, "
        "embedding_cache, block_0, block_cache_0, ... and lm_head, that of the WizardCoder demonstration the same "
        "without embedding_cache; compile the model with one of these, or with wizardtpu-compile"
    )


def _layers(names: Iterable[str]) -> int:
    found = [int(match[1]) for match in map(_BLOCK.fullmatch, names) if match]
    return max(found) + 1


def _hint(missing: list[str]) -> str:
    if "embedding" in missing:
        return " (llm_convert.py leaves the embedding out with --embedding_disk)"
    return ""


def _listed(names: list[str]) -> str:
    most = 8
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check(layout: ForeignLayout, net: Net, numbers: Dimensions) -> None:
    for stage in net.stages:
        expected = layout.signature(net.name, stage, numbers)
        found = Signature.of(stage)
        if expected is not None and found != expected:
            raise BundleError(
                f"network {net.name} is {found} instead of {expected}, which the shapes of its other networks ask "
                f"for in the layout {layout.name}; compile all of them at once"
            )
