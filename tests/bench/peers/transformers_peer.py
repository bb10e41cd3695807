"""Hugging Face transformers: `generate` in float32."""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForCausalLM

from tests.bench.peers.conversation import Generate, converse


def open_model() -> Generate:
    checkpoint = sys.argv[1]
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def generate(prompt: list[int], max_new_tokens: int) -> list[int]:
        ids = torch.tensor([prompt])
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=0,
            )
        tokens: list[int] = output[0, len(prompt) :].tolist()
        return tokens

    return generate


if __name__ == "__main__":
    converse(open_model, "transformers", "torch")
