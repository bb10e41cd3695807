"""The layout of the original WizardCoder demonstration for the BM1684X: keys and values in one row, tokens alone.

| network | inputs | outputs |
|---|---|---|
| `embedding`, two stages: T is 1 or S | ids i32 [1,T], positions i32 [1,T] | hidden [1,T,H] |
| `block_{i}` | hidden [1,S,H], mask [1,1,S,S] | hidden [1,S,H], rows [1,S,2D] |
| `block_cache_{i}` | hidden [1,1,H], rows [1,S,2D], mask [1,1,1,S+1] | hidden [1,1,H], rows [1,S+1,2D] |
| `lm_head` | hidden [1,H] | token i32 [1,1] |

A row has a token's key, then its value. Everything else is of one float type, float32 in the published bmodels.

Source: models/WizardCoder of the public repository sophgo/LLM-TPU; `wizardtpu-compile build --layout
wizardcoder-tpu` makes it, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.model import Net, Stage
from wizardtpud.model.foreign.layout import INTEGER, Dimensions, ForeignLayout, Signature, shape
from wizardtpud.model.manifest import NetworkLayout


class WizardcoderTpu(ForeignLayout):
    """One head of keys and values for all heads of queries, and learned positions."""

    name: ClassVar[NetworkLayout] = "wizardcoder-tpu"
    heads: ClassVar[tuple[str, ...]] = ("embedding", "lm_head")

    def dimensions(self, nets: Mapping[str, Net], layers: int) -> Dimensions:
        cache = nets["block_cache_0"].stages[0]
        _, _, hidden = shape("block_cache_0", cache.inputs, 0, rank=3)
        _, context, width = shape("block_cache_0", cache.inputs, 1, rank=3)
        lengths = {shape("embedding", stage.inputs, 0, rank=2)[1] for stage in nets["embedding"].stages}
        if lengths != {1, context}:
            raise BundleError(
                f"its embedding takes {' or '.join(map(str, sorted(lengths)))} tokens instead of 1 or {context}; "
                "combine both stages of it with the other networks"
            )
        return Dimensions(
            layers=layers,
            hidden=hidden,
            kv_heads=1,
            head_dim=width // 2,
            vocabulary=None,
            context=context,
            chunk=context,
            dtype=cache.inputs[0].dtype,
        )

    def signature(self, network: str, stage: Stage, numbers: Dimensions) -> Signature | None:
        context, width = numbers.context, 2 * (numbers.head_dim or 0)
        prompt, token = (numbers.dtype, (1, context, numbers.hidden)), (numbers.dtype, (1, 1, numbers.hidden))
        past, more = (numbers.dtype, (1, context, width)), (numbers.dtype, (1, context + 1, width))
        if network == "embedding":
            tokens = 1 if Signature.of(stage).inputs[:1] == ((INTEGER, (1, 1)),) else context
            ids = (INTEGER, (1, tokens))
            return Signature((ids, ids), ((numbers.dtype, (1, tokens, numbers.hidden)),))
        if network == "lm_head":
            return Signature(((numbers.dtype, (1, numbers.hidden)),), ((INTEGER, (1, 1)),))
        if network.startswith("block_cache_"):
            return Signature((token, past, (numbers.dtype, (1, 1, 1, context + 1))), (token, more))
        if network.startswith("block_"):
            return Signature((prompt, (numbers.dtype, (1, 1, context, context))), (prompt, past))
        return None
