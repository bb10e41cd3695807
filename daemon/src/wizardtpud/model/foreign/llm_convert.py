"""The layout that the vendor's `llm_convert.py` makes: keys and values apart, position ids in every layer.

| network | inputs | outputs |
|---|---|---|
| `embedding` | ids i32 [1,T] | hidden [1,T,H] |
| `embedding_cache` | ids i32 [1,1] | hidden [1,1,H] |
| `block_{i}` | hidden [1,T,H], positions i32 [1,T], mask [1,1,T,T] | hidden, rows of T tokens |
| or, dynamic: 1 to T tokens | hidden [1,T,H], positions i32 [1,T] | hidden, rows of as many |
| `block_kv_{i}`, likewise | hidden [1,T,H], positions i32 [1,T], rows of 1 to S tokens | hidden, rows of as many |
| `block_cache_{i}` | hidden [1,1,H], position i32 [1,1], mask [1,1,1,S+1], rows of S tokens | hidden, row |
| `lm_head` | hidden [1,H] | token i32 [1,1], or logits f32 [1,V] |
| `greedy_head`, if there are logits | logits f32 [1,V] | token i32 [1,1] |

Rows are two tensors [1,n,K,D], keys and values. Hidden states, masks and rows are of one float type.

With `--dynamic` a layer reads a prompt of any length up to its own, and has its mask within; with
`--use_history_kv` it also reads one after a history (`block_kv`), and adds a token by the smallest of several
stages of `block_cache` that holds the past: others than the first are for fewer rows; with `--do_sample` the head
gives logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Net, Stage
from wizardtpud.model.foreign.layout import INTEGER, Dimensions, ForeignLayout, Plain, Signature, shape
from wizardtpud.model.manifest import NetworkLayout

_TOKEN: Plain = (INTEGER, (1, 1))


class LlmConvert(ForeignLayout):
    """Any number of heads of keys and values; positions are the networks' own business."""

    name: ClassVar[NetworkLayout] = "llm-convert"
    heads: ClassVar[tuple[str, ...]] = ("embedding", "embedding_cache", "lm_head")
    optional: ClassVar[tuple[str, ...]] = ("block_kv_",)

    def missing(self, nets: Mapping[str, Net], layers: int) -> list[str]:
        chooser = ["greedy_head"] if _gives_logits(nets) and "greedy_head" not in nets else []
        return super().missing(nets, layers) + chooser

    def dimensions(self, nets: Mapping[str, Net], layers: int) -> Dimensions:
        name = "block_cache_0"
        stages, divided = nets[name].stages, nets[name].network != nets[name].name
        stage = stages[0]
        batch, _, hidden = shape(name, stage.inputs, 0, rank=3)
        if batch != 1:
            raise BundleError(f"it was compiled for {batch} sequences at once; compile it without --batch")
        heads = (None, None) if divided else shape(name, stage.inputs, 3, rank=4)[2:]
        logits = nets["lm_head"].stages[0].outputs[:1]
        return Dimensions(
            layers=layers,
            hidden=hidden,
            kv_heads=heads[0],
            head_dim=heads[1],
            vocabulary=shape("lm_head", logits, 0, rank=2)[1] if _gives_logits(nets) else None,
            context=max(shape(name, stage.inputs, 2, rank=4)[3] for stage in stages) - 1,
            chunk=shape("embedding", nets["embedding"].stages[0].inputs, 0, rank=2)[1],
            dtype=stage.inputs[0].dtype,
        )

    def signature(self, network: str, stage: Stage, numbers: Dimensions) -> Signature | None:
        if network == "embedding":
            return Signature((_ids(numbers.chunk),), (_hidden(numbers, numbers.chunk),))
        if network == "embedding_cache":
            return Signature((_ids(1),), (_hidden(numbers, 1),))
        if network == "lm_head":
            return Signature(((numbers.dtype, (1, numbers.hidden)),), (_head_output(numbers),))
        if network == "greedy_head" and numbers.vocabulary is not None:
            return Signature((_logits(numbers.vocabulary),), (_TOKEN,))
        if network.startswith("block_cache_"):
            rows = shape(network, stage.inputs, 3, rank=4)[1]
            return self._layer(numbers, 1, (_mask(numbers, 1, rows + 1), *_rows(numbers, rows)))
        if network.startswith("block_kv_"):
            return self._layer(numbers, numbers.chunk, _rows(numbers, numbers.context))
        if network.startswith("block_"):
            masks = (_mask(numbers, numbers.chunk, numbers.chunk),) if len(stage.inputs) > 2 else ()
            return self._layer(numbers, numbers.chunk, masks)
        return None

    @staticmethod
    def _layer(numbers: Dimensions, tokens: int, others: tuple[Plain, ...]) -> Signature:
        """Hidden states and positions before other inputs; hidden states and new rows come out."""
        hidden = _hidden(numbers, tokens)
        return Signature((hidden, _ids(tokens), *others), (hidden, *_rows(numbers, tokens)))


def _ids(tokens: int) -> Plain:
    return INTEGER, (1, tokens)


def _hidden(numbers: Dimensions, tokens: int) -> Plain:
    return numbers.dtype, (1, tokens, numbers.hidden)


def _mask(numbers: Dimensions, tokens: int, seen: int) -> Plain:
    return numbers.dtype, (1, 1, tokens, seen)


def _rows(numbers: Dimensions, count: int) -> tuple[Plain, Plain]:
    """Keys, and values."""
    rows = (numbers.dtype, (1, count, numbers.kv_heads or 0, numbers.head_dim or 0))
    return rows, rows


def _gives_logits(nets: Mapping[str, Net]) -> bool:
    outputs = nets["lm_head"].stages[0].outputs if "lm_head" in nets else ()
    return bool(outputs) and outputs[0].dtype != INTEGER


def _head_output(numbers: Dimensions) -> Plain:
    return _TOKEN if numbers.vocabulary is None else _logits(numbers.vocabulary)


def _logits(vocabulary: int) -> Plain:
    return "float32", (1, vocabulary)
