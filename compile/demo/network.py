"""The network of the demonstration model and the checkpoint directory it is kept in."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GPTBigCodeConfig, GPTBigCodeForCausalLM

from demo.tokenizer import END_OF_TEXT, VOCABULARY_SIZE

CHECKPOINT_DIRECTORY = Path(__file__).with_name("checkpoint")
CONTEXT = 512


def new_network() -> GPTBigCodeForCausalLM:
    """An untrained float32 network: the layout of WizardCoder, small."""
    config = GPTBigCodeConfig(
        vocab_size=VOCABULARY_SIZE,
        n_positions=CONTEXT,
        n_embd=256,
        n_layer=3,
        n_head=4,
        n_inner=1024,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        layer_norm_epsilon=1e-5,
        multi_query=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTBigCodeForCausalLM(config)


def save_checkpoint(network: GPTBigCodeForCausalLM, tokenizer: Tokenizer, directory: Path) -> None:
    """Write the float16 weights, the configuration and the tokenizer as Hugging Face files."""
    half = GPTBigCodeForCausalLM(network.config).to(torch.float16)
    half.load_state_dict(network.state_dict())
    half.save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    special: dict[str, object] = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END_OF_TEXT)
    _write_json(directory / "special_tokens_map.json", special)
    loading: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": CONTEXT}
    _write_json(directory / "tokenizer_config.json", {**loading, "clean_up_tokenization_spaces": False, **special})


def load_checkpoint(directory: Path = CHECKPOINT_DIRECTORY) -> tuple[GPTBigCodeForCausalLM, Tokenizer]:
    """The saved network, with its float16 weights widened to float32, and the tokenizer."""
    network = GPTBigCodeForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return network.eval(), Tokenizer.from_file(str(directory / "tokenizer.json"))


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
