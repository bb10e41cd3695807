"""The numbers of published checkpoints, so that an estimate needs no download."""

from __future__ import annotations

from wizardtpu_compile.checkpoint.config import ModelConfig


def _published(width: int, heads: int, layers: int, vocabulary: int, positions: int = 8192) -> ModelConfig:
    return ModelConfig(
        model_type="gpt_bigcode",
        n_embd=width,
        n_head=heads,
        n_layer=layers,
        n_inner=4 * width,
        n_positions=positions,
        vocab_size=vocabulary,
    )


# From the config.json of each; WizardCoder's vocabularies hold one token more than StarCoder's, for padding.
PUBLISHED = {
    "wizardcoder-15b": _published(6144, 48, 40, 49153),
    "wizardcoder-3b": _published(2816, 22, 36, 49153),
    "wizardcoder-1b": _published(2048, 16, 24, 49153),
    "starcoder": _published(6144, 48, 40, 49152),
    "starcoderbase-7b": _published(4096, 32, 42, 49152),
    "starcoderbase-3b": _published(2816, 22, 36, 49152),
    "starcoderbase-1b": _published(2048, 16, 24, 49152),
    "tiny_starcoder_py": _published(768, 12, 20, 49152),
}
"""Name of a checkpoint -> its architecture."""
