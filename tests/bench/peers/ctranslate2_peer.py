"""CTranslate2, on what its own converter makes of the checkpoint."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import ctranslate2
from ctranslate2.converters import TransformersConverter
from tokenizers import Tokenizer

from tests.bench.peers.conversation import Generate, converse


def open_model() -> Generate:
    checkpoint, precision = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as scratch:
        converted = str(Path(scratch) / "model")
        TransformersConverter(str(checkpoint)).convert(converted, quantization=precision)
        generator = ctranslate2.Generator(
            converted, device="cpu", compute_type=precision, inter_threads=1, intra_threads=1
        )
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))

    def generate(prompt: list[int], max_new_tokens: int) -> list[int]:
        results = generator.generate_batch(
            [[tokenizer.id_to_token(token) for token in prompt]],
            max_length=max_new_tokens,
            beam_size=1,
            sampling_topk=1,
            include_prompt_in_result=False,
            return_end_token=True,
        )
        tokens: list[int] = results[0].sequences_ids[0]
        return tokens

    return generate


if __name__ == "__main__":
    converse(open_model, "ctranslate2")
