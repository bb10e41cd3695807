"""What the engine is told of the networks that a device has loaded from foreign bmodels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wizardtpud.device.runtime import Network, Stage, TensorSpec
from wizardtpud.model.bmodel.model import Net, Tensor
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.foreign.loaded_llm_convert import LoadedLlmConvert
from wizardtpud.model.foreign.loaded_wizardcoder import LoadedWizardcoder
from wizardtpud.model.foreign.model import ForeignModel
from wizardtpud.model.manifest import Manifest

from tests.support.foreign_model import (
    CONTEXT,
    HEAD_DIM,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    VOCABULARY,
    WIZARDCODER_CONFIG,
    llm_convert_nets,
    wizardcoder_nets,
    write_foreign_model,
)
from tests.support.tiny_bmodel import FLOAT16, FLOAT32, TinyNet

CHUNK = 8
PADDING = LoadedLlmConvert(
    layers=LAYERS,
    hidden=HIDDEN,
    vocabulary=VOCABULARY,
    context=CONTEXT,
    chunk=CHUNK,
    row=(KV_HEADS, HEAD_DIM),
    dtype=np.dtype(np.float16),
    masked=True,
    dynamic=False,
    continues=False,
    histories=(CONTEXT,),
    gives_logits=True,
)
EXACT = replace(PADDING, masked=False, dynamic=True, gives_logits=False)


def loaded(directory: Path, nets: list[TinyNet], **files: Any) -> tuple[Manifest, dict[str, Network]]:
    """The manifest of a model, and its networks as a runtime shows them."""
    model = ForeignModel.find(write_foreign_model(directory, nets, **files))
    return model.manifest("tiny"), {net.name: as_loaded(net) for net in read_model(model.bmodel).nets}


def as_loaded(net: Net) -> Network:
    first, *others = (Stage(specs(stage.inputs), specs(stage.outputs)) for stage in net.stages)
    return Network(net.name, first.inputs, first.outputs, tuple(others), net.dynamic)


def specs(tensors: tuple[Tensor, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(tensor.name, tensor.shape, np.dtype(tensor.dtype)) for tensor in tensors)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sampling": True}, PADDING),
        ({"dynamic": True}, EXACT),
        ({"history": True}, replace(EXACT, continues=True, histories=(CONTEXT, CONTEXT // 2, CONTEXT // 4))),
    ],
)
def test_networks_of_the_vendor_s_converter(
    tmp_path: Path, options: dict[str, bool], expected: LoadedLlmConvert
) -> None:
    assert LoadedLlmConvert.of(*loaded(tmp_path, llm_convert_nets(chunk=CHUNK, **options))) == expected


def test_a_runtime_that_runs_them_in_their_own_shapes_alone(tmp_path: Path) -> None:
    manifest, networks = loaded(tmp_path, llm_convert_nets(chunk=CHUNK, dynamic=True))
    fixed = {name: replace(network, dynamic=False) for name, network in networks.items()}
    assert LoadedLlmConvert.of(manifest, fixed) == replace(EXACT, dynamic=False)


@pytest.mark.parametrize(("float_type", "dtype"), [(FLOAT32, "float32"), (FLOAT16, "float16")])
@pytest.mark.parametrize("token_first", [True, False])
def test_networks_of_the_original_demonstration(
    tmp_path: Path, float_type: int, dtype: str, token_first: bool
) -> None:
    nets = [replace(net, float_type=float_type) for net in wizardcoder_nets()]
    manifest, networks = loaded(tmp_path, nets, config=WIZARDCODER_CONFIG)
    if not token_first:
        networks["embedding"] = turned(networks["embedding"])
    assert LoadedWizardcoder.of(manifest, networks) == LoadedWizardcoder(
        layers=LAYERS,
        hidden=HIDDEN,
        vocabulary=VOCABULARY,
        context=CONTEXT,
        row=8,
        dtype=np.dtype(dtype),
        embed_prompt=int(token_first),
        embed_token=int(not token_first),
    )


def turned(network: Network) -> Network:
    """With its second stage first."""
    first, second = network.stages
    return replace(network, inputs=second.inputs, outputs=second.outputs, further_stages=(first,))
