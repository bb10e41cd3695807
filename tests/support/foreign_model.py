"""Models as others leave them: a bmodel in a foreign layout, and the files that the model came with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from tests.support.byte_level_tokenizer import byte_level_backend
from tests.support.tiny_bmodel import FLOAT32, INT32, Shapes, TinyNet, write_tiny_bmodel

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY, CONTEXT = 2, 16, 4, 2, 8, 512, 32
"""Heads wider than hidden / heads, as some families have them."""

END_OF_TURN = "<|im_end|>"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
CONFIG: Mapping[str, Any] = {
    "model_type": "qwen2",
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "intermediate_size": 48,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 4096,
    "eos_token_id": 0,
}
WIZARDCODER_CONFIG: Mapping[str, Any] = {
    "model_type": "gpt_bigcode",
    "n_layer": LAYERS,
    "n_embd": HIDDEN,
    "n_head": HEADS,
    "n_positions": 64,
    "n_inner": 48,
    "vocab_size": VOCABULARY,
    "eos_token_id": 0,
}


def llm_convert_nets(
    *,
    context: int = CONTEXT,
    chunk: int = CONTEXT,
    dynamic: bool = False,
    history: bool = False,
    sampling: bool = False,
) -> list[TinyNet]:
    """Those of the vendor's converter, with its options."""
    nets = [
        _net("embedding", {"ids": (1, chunk)}, {"hidden": (1, chunk, HIDDEN)}, addr_mode=0),
        _net("embedding_cache", {"ids": (1, 1)}, {"hidden": (1, 1, HIDDEN)}, addr_mode=0),
        _net("lm_head", {"hidden": (1, HIDDEN)}, {"logits": (1, VOCABULARY)} if sampling else {"token": (1, 1)}),
    ]
    if sampling:
        nets.append(_net("greedy_head", {"logits": (1, VOCABULARY)}, {"token": (1, 1)}, dynamic=True))
    for layer in range(LAYERS):
        mask = {} if dynamic or history else {"mask": (1, 1, chunk, chunk)}
        nets.append(_layer(f"block_{layer}", chunk, mask, addr_mode=0, dynamic=not mask))
        rows = [context >> shift for shift in range(3 if history else 1)]
        first, *more = (_layer(f"block_cache_{layer}", 1, _mask(1, n + 1) | _rows("history", n)) for n in rows)
        nets.append(TinyNet(**{**vars(first), "more_stages": [(net.inputs, net.outputs) for net in more]}))
        if history:
            nets.append(_layer(f"block_kv_{layer}", chunk, _rows("history", context), addr_mode=0, dynamic=True))
    return nets


def wizardcoder_nets(*, context: int = CONTEXT, width: int = 2 * HIDDEN // HEADS) -> list[TinyNet]:
    """Those of the original demonstration."""
    more = [({"ids": (1, context), "position_ids": (1, context)}, {"hidden": (1, context, HIDDEN)})]
    one: Shapes = {"ids": (1, 1), "position_ids": (1, 1)}

    def make() -> Iterator[TinyNet]:
        yield _net("embedding", one, {"hidden": (1, 1, HIDDEN)}, more_stages=more, float_type=FLOAT32)
        for layer in range(LAYERS):
            whole, past, later = (1, context, HIDDEN), (1, context, width), (1, context + 1, width)
            inputs: Shapes = {"hidden": whole} | _mask(context, context)
            yield _net(f"block_{layer}", inputs, {"out": whole, "past": past}, float_type=FLOAT32)
            inputs = {"hidden": (1, 1, HIDDEN), "past": past} | _mask(1, context + 1)
            outputs = {"out": (1, 1, HIDDEN), "later": later}
            yield _net(f"block_cache_{layer}", inputs, outputs, float_type=FLOAT32)
        yield _net("lm_head", {"hidden": (1, HIDDEN)}, {"token": (1, 1)}, float_type=FLOAT32)

    return list(make())


def write_foreign_model(
    directory: Path,
    nets: list[TinyNet] | None = None,
    *,
    config: Mapping[str, Any] = CONFIG,
    beside: bool = False,
    template: str | None = TEMPLATE,
    **bmodel: Any,
) -> Path:
    """A directory as llm_convert.py leaves it.

    Args:
        directory: to make.
        nets: of the bmodel, if not those of the plainest options.
        config: content of config.json.
        beside: whether the other files are beside the bmodel, and not in `config`.
        template: chat template, if the model has one.
        bmodel: what else `write_tiny_bmodel` takes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_tiny_bmodel(directory / "qwen_w4f16_seq32_bm1684x.bmodel", nets or llm_convert_nets(), **bmodel)
    place = directory if beside else directory / "config"
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(config))
    added = [AddedToken(text, special=True) for text in ("<|im_start|>", END_OF_TURN)]
    (place / "tokenizer.json").write_text(byte_level_backend(added=added).to_str())
    tokens = {"bos_token": None, "eos_token": {"content": END_OF_TURN}, "chat_template": template}
    (place / "tokenizer_config.json").write_text(json.dumps(tokens))
    return directory


def end_of_turn_id() -> int:
    """Of the tokenizer that is written."""
    found = byte_level_backend(added=[AddedToken("<|im_start|>"), AddedToken(END_OF_TURN)]).token_to_id(
        END_OF_TURN
    )
    assert found is not None
    return int(found)


def _layer(name: str, tokens: int, others: Shapes, **how: Any) -> TinyNet:
    inputs = {"hidden": (1, tokens, HIDDEN), "position_ids": (1, tokens), **others}
    return _net(name, inputs, {"out": (1, tokens, HIDDEN), **_rows("new", tokens)}, **how)


def _mask(tokens: int, seen: int) -> dict[str, tuple[int, ...]]:
    return {"mask": (1, 1, tokens, seen)}


def _rows(kind: str, count: int) -> dict[str, tuple[int, ...]]:
    return {f"{kind}_{side}": (1, count, KV_HEADS, HEAD_DIM) for side in "kv"}


def _net(name: str, inputs: Shapes, outputs: Shapes, **how: Any) -> TinyNet:
    types = {"ids": INT32, "position_ids": INT32, "token": INT32, "logits": FLOAT32}
    return TinyNet(name, weights=name.encode(), inputs=inputs, outputs=outputs, types=types, **how)
