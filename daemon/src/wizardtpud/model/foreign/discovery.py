"""Which foreign layout the networks of a bmodel are in, and the numbers of the model they make up."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Model, Net
from wizardtpud.model.foreign.layout import FLOATS, Dimensions, ForeignLayout, Signature
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
    if numbers.dtype not in FLOATS:
        raise BundleError(f"its hidden states are {numbers.dtype} instead of {' or '.join(FLOATS)}")
    for net in nets.values():
        if net.network == net.name:  # else each of several chips has a part of it, of shapes of its own
            _check(layout, net, numbers)
            _check_like(_first_layer(net, nets), net)
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


def _first_layer(net: Net, nets: Mapping[str, Net]) -> Net:
    """What the first layer has where another has this network; networks of no layer are their own."""
    match = _BLOCK.fullmatch(net.name)
    return nets.get(f"{net.name[: match.start(1)]}0", net) if match else net


def _check_like(first: Net, net: Net) -> None:
    """The engine takes all layers for what the first one is."""
    expected, found = _form(first), _form(net)
    if found != expected:
        raise BundleError(
            f"network {net.name} is {found} and {first.name} is {expected}; compile all of them at once"
        )


def _form(net: Net) -> str:
    stages = " or ".join(str(Signature.of(stage)) for stage in net.stages)
    return f"dynamic {stages}" if net.dynamic else stages
