"""Makes the golden files with Hugging Face transformers, or compares them with it.

Run from the repository's root, in an environment with torch, transformers, tokenizers, safetensors and ml_dtypes:

    python -m tests.golden.make            writes tests/golden/*.npz
    python -m tests.golden.make --check    computes everything again and compares
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GPTBigCodeForCausalLM
from transformers.utils import logging

from tests.golden.cases import CASES, Case
from tests.golden.golden import Golden, weights_digest

NEW_TOKENS = 24
LOGIT_STEPS = 3
SMALLEST_MARGIN = 1e-3
"""Between the two highest logits of every step: a tie could go either way elsewhere and prove nothing."""
TOLERANCE = 1e-4


def compute(case: Case) -> Golden:
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = case.checkpoint(Path(scratch))
        model = GPTBigCodeForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager")
        prompts = [np.array(prompt, np.int32) for prompt in case.prompts()]
        answers, logits = zip(*(greedy(model, prompt, case.name) for prompt in prompts), strict=True)
        return Golden(weights_digest(checkpoint), prompts, list(answers), list(logits))


def greedy(
    model: GPTBigCodeForCausalLM, prompt: NDArray[np.int32], name: str
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    ids = torch.from_numpy(prompt.astype(np.int64))[None]
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=min(NEW_TOKENS, model.config.n_positions - len(prompt)),
        do_sample=False,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_logits=True,
    )
    logits = torch.cat(output.logits).numpy()
    highest = np.sort(logits, axis=-1)[:, -2:]
    if (margin := float((highest[:, 1] - highest[:, 0]).min())) < SMALLEST_MARGIN:
        sys.exit(f"{name}: two tokens are as good as equal ({margin:.1e}); choose another seed")
    return output.sequences[0, len(prompt) :].numpy().astype(np.int32), logits[:LOGIT_STEPS].astype(np.float32)


def differences(found: Golden, expected: Golden) -> list[str]:
    problems = [] if found.weights == expected.weights else ["the weights are others"]
    problems += [
        f"the {part} are others"
        for part in ("prompts", "answers")
        if not all(map(np.array_equal, getattr(found, part), getattr(expected, part)))
    ]
    worst = max(float(np.abs(a - b).max()) for a, b in zip(found.logits, expected.logits, strict=True))
    if worst > TOLERANCE:
        problems.append(f"a logit differs by {worst:.1e}")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is outdated")
    check = parser.parse_args().check
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    outdated = False
    for case in CASES:
        golden = compute(case)
        if not check:
            golden.save(case.path)
        problems = differences(Golden.load(case.path), golden) if case.path.is_file() else ["there is no file"]
        outdated = outdated or bool(problems)
        tokens = sum(map(len, golden.answers))
        print(f"{case.name}: {'; '.join(problems) or f'{tokens} tokens agree'}", flush=True)
    if outdated:
        sys.exit("run: python -m tests.golden.make")


if __name__ == "__main__":
    main()
