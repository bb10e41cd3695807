from __future__ import annotations

import json
from pathlib import Path

import demo
import pytest
from safetensors import safe_open
from tokenizers import Tokenizer

CHECKPOINT = Path(demo.__file__).with_name("checkpoint")
WEIGHTS = CHECKPOINT / "model.safetensors"
CONFIG = json.loads((CHECKPOINT / "config.json").read_text(encoding="utf-8"))


def test_the_weights_are_small_enough_for_the_repository() -> None:
    assert WEIGHTS.stat().st_size <= 8_000_000


def test_the_network_has_the_layout_of_wizardcoder() -> None:
    assert CONFIG["model_type"] == "gpt_bigcode"
    assert CONFIG["multi_query"] is True
    assert CONFIG["tie_word_embeddings"] is True
    assert CONFIG["activation_function"] == "gelu_pytorch_tanh"
    assert CONFIG["layer_norm_epsilon"] == 1e-5
    assert CONFIG["n_positions"] == 512
    assert CONFIG["bos_token_id"] == CONFIG["eos_token_id"] == 0


@pytest.mark.parametrize("width", ["n_embd", "n_inner", "vocab_size"])
def test_the_widths_are_multiples_of_a_quantization_group(width: str) -> None:
    assert CONFIG[width] % 64 == 0


def test_every_logit_has_a_token() -> None:
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == CONFIG["vocab_size"]
    assert all(tokenizer.id_to_token(each) is not None for each in range(CONFIG["vocab_size"]))


def test_the_weights_are_float16_under_their_hugging_face_names() -> None:
    with safe_open(WEIGHTS, framework="numpy") as weights:
        names = set(weights.keys())
        assert {weights.get_slice(name).get_dtype() for name in names} == {"F16"}
        head_dim = CONFIG["n_embd"] // CONFIG["n_head"]
        shape = weights.get_slice("transformer.h.0.attn.c_attn.weight").get_shape()
        assert shape == [CONFIG["n_embd"] + 2 * head_dim, CONFIG["n_embd"]]
    layers = {name.split(".")[2] for name in names if name.startswith("transformer.h.")}
    assert layers == {str(layer) for layer in range(CONFIG["n_layer"])}
    assert {"transformer.wte.weight", "transformer.wpe.weight", "transformer.ln_f.weight"} <= names
    assert "lm_head.weight" not in names
