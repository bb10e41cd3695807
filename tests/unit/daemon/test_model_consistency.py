"""What must hold between the parts of a manifest."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from wizardtpud.errors import BundleError
from wizardtpud.model.consistency import check
from wizardtpud.model.manifest import Manifest, NetworkEntry

from tests.support.small_bundle import block, manifest


def without(*names: str) -> list[NetworkEntry]:
    return [network for network in manifest().networks if network.name not in names]


def changed(name: str, **fields: Any) -> list[NetworkEntry]:
    return [replace(network, **fields) if network.name == name else network for network in manifest().networks]


def architecture(**fields: Any) -> Manifest:
    return replace(manifest(), architecture=replace(manifest().architecture, **fields))


def networks(entries: list[NetworkEntry]) -> Manifest:
    return replace(manifest(), networks=entries)


def foreign(**fields: Any) -> Manifest:
    """Of a model with heads of another width than ours may have, and positions beyond those it was trained for."""
    numbers = replace(manifest().architecture, head_dim=8, positions=4)
    changes: dict[str, Any] = {
        "layout": "llm-convert",
        "target": "bm1684x",
        "architecture": numbers,
        "networks": [],
        "quantization": None,
    }
    return replace(manifest(), **(changes | fields))


def test_a_sound_manifest() -> None:
    check(manifest())


def test_a_sound_manifest_of_a_foreign_model() -> None:
    check(foreign())
    check(foreign(devices=2, sampling=False))


def test_a_model_for_several_chips() -> None:
    check(replace(manifest(), target="bm1684x", devices=2))


def test_a_greedy_head_may_be_absent() -> None:
    check(networks(without("greedy_head_b1")))


def test_a_block_may_hold_several_layers() -> None:
    both = replace(block(0, 4), layers=2)
    check(networks([both, *without("block_0_b1_t4_s8", "block_1_b1_t4_s8")]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (replace(manifest(), files={}), "tokenizer.json is not among its files"),
        (networks(changed("lm_head_b1", file="nets/x.onnx")), "lm_head_b1 is in nets/x.onnx, which is not among"),
        (architecture(hidden=8), r"heads \* head_dim is not hidden"),
        (architecture(kv_heads=2), "heads is not a multiple of kv_heads"),
        (architecture(positions=7), "context is larger than positions"),
        (replace(manifest(), context=1), "context has no room for an answer"),
        (replace(manifest(), end_of_text=[0, 10]), "end_of_text is outside the vocabulary"),
        (replace(manifest(), end_of_text=[-1]), "end_of_text is outside the vocabulary"),
        (replace(manifest(), devices=2), "several devices are for chips alone"),
        (replace(manifest(), quantization=None), "there is no quantization"),
        (networks([]), "there are no networks"),
        (foreign(target="cpu"), "the layout llm-convert is for bm1684x alone"),
        (foreign(networks=manifest().networks), "the networks of the layout llm-convert are not listed"),
        (
            foreign(layout="wizardcoder-tpu", architecture=manifest().architecture),
            "the layout wizardcoder-tpu has no logits to sample from",
        ),
        (foreign(end_of_text=[10]), "end_of_text is outside the vocabulary"),
        (networks([*without(), block(0, 1)]), "there are 2 networks named block_0_b1_t1_s8"),
        (networks(changed("lm_head_b1", tokens=1)), "lm_head_b1 must not have tokens"),
        (networks(changed("embedding_b1_t1", tokens=None)), "embedding_b1_t1 must have tokens"),
        (networks(changed("embedding_b1_t1", history=8)), "embedding_b1_t1 must not have history"),
        (networks(changed("block_0_b1_t1_s8", history=None)), "block_0_b1_t1_s8 must have history"),
        (networks(changed("block_0_b1_t1_s8", history=4)), "history of other than context rows"),
        (networks(changed("block_0_b1_t1_s8", first_layer=None)), "block_0_b1_t1_s8 must have first_layer"),
        (networks(changed("block_0_b1_t1_s8", layers=2)), "the blocks for 1 tokens .* do not cover every layer"),
        (networks(changed("block_1_b1_t1_s8", layers=2)), "the blocks for 1 tokens .* do not cover every layer"),
        (networks(changed("block_1_b1_t1_s8", layers=10**18)), "do not cover every layer"),
        (
            networks([replace(block(0, 1), layers=3), *without("block_0_b1_t1_s8", "block_1_b1_t1_s8")]),
            "the blocks for 1 tokens of 1 sequences do not cover every layer",
        ),
        (networks(changed("block_0_b1_t4_s8", tokens=9)), "takes more tokens than the context"),
        (networks(without("block_1_b1_t4_s8")), "the blocks for 4 tokens of 1 sequences do not cover every layer"),
        (
            networks([*without(), replace(block(1, 4), name="more", first_layer=2)]),
            "the blocks for 4 tokens of 1 sequences do not cover every layer",
        ),
        (
            networks(changed("block_1_b1_t4_s8", first_layer=0)),
            "the blocks for 4 tokens .* do not cover every layer",
        ),
        (networks(without("embedding_b1_t4")), "there is not one embedding for 4 tokens of 1 sequences"),
        (networks(changed("embedding_b1_t4", tokens=2)), "the blocks for 2 tokens .* do not cover every layer"),
        (networks(without("lm_head_b1")), "there is not one lm_head"),
        (
            networks(without("embedding_b1_t1", "block_0_b1_t1_s8", "block_1_b1_t1_s8")),
            "there are no networks for one token of one sequence",
        ),
    ],
)
def test_a_contradiction_is_named(content: Manifest, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        check(content)
