"""Train the demonstration model: `python -m demo.train` in the `compile` directory."""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import AdamW, Muon, Optimizer
from transformers import GPTBigCodeForCausalLM

from demo.corpus import IGNORED, Corpus
from demo.network import CHECKPOINT_DIRECTORY, CONTEXT, new_network, save_checkpoint
from demo.quantization import Precision, logits
from demo.replies import load_replies
from demo.tasks import load_tasks
from demo.tokenizer import train_tokenizer

SEED = 1684
BATCH_TOKENS = 4096
LEARNING_RATE = 2e-3
WARMUP_STEPS = 60
REPORT_EVERY = 25
SAVE_EVERY = 250
# One checkpoint serves every precision: each step trains one of them.
PRECISION_SHARES = {
    Precision.F32: 0.20,
    Precision.INT8: 0.10,
    Precision.INT8_DYNAMIC: 0.20,
    Precision.INT4: 0.25,
    Precision.INT4_SYMMETRIC: 0.25,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train the demonstration model.")
    parser.add_argument("--steps", type=int, default=1300, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=CHECKPOINT_DIRECTORY, help="checkpoint directory")
    options = parser.parse_args(arguments)
    train(options.steps, options.output)


def train(steps: int, output: Path) -> None:
    """Train from nothing and write the checkpoint, now and then and at the end."""
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    tasks, replies = load_tasks(), load_replies()
    tokenizer = train_tokenizer(tasks, replies)
    network = new_network()
    optimizers = _optimizers(network)
    batches = Corpus(tokenizer, tasks, replies, CONTEXT, SEED).batches(BATCH_TOKENS)
    started, losses = time.monotonic(), list[float]()
    for step, (input_ids, labels) in zip(range(1, steps + 1), batches, strict=False):
        precision = rng.choices(list(PRECISION_SHARES), list(PRECISION_SHARES.values()))[0]
        _set_learning_rate(optimizers, _learning_rate(step, steps))
        losses.append(_step(network, optimizers, precision, input_ids, labels))
        if step % REPORT_EVERY == 0:
            mean = sum(losses[-REPORT_EVERY:]) / REPORT_EVERY
            print(f"step {step}/{steps}  loss {mean:.5f}  {time.monotonic() - started:.0f} s", flush=True)
        if step % SAVE_EVERY == 0 or step == steps:
            save_checkpoint(network, tokenizer, output)


def _step(
    network: GPTBigCodeForCausalLM,
    optimizers: Sequence[Optimizer],
    precision: Precision,
    input_ids: Tensor,
    labels: Tensor,
) -> float:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = logits(network, precision, input_ids)
    loss = cross_entropy(outputs.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.item())


def _optimizers(network: GPTBigCodeForCausalLM) -> list[Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and biases."""
    parameters = dict(network.named_parameters())
    matrices = {name for name, value in parameters.items() if ".h." in name and value.ndim == 2}
    return [
        Muon([parameters[name] for name in sorted(matrices)], weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        AdamW([value for name, value in parameters.items() if name not in matrices], weight_decay=0.0),
    ]


def _learning_rate(step: int, steps: int) -> float:
    """A short linear warm-up, then half a cosine down to zero."""
    if step < WARMUP_STEPS:
        return LEARNING_RATE * step / WARMUP_STEPS
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * (step - WARMUP_STEPS) / (steps + 1 - WARMUP_STEPS)))


def _set_learning_rate(optimizers: Sequence[Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


if __name__ == "__main__":
    main()
