"""What the chip cannot do with a model is refused with the option and a way out."""

from __future__ import annotations

import pytest
from wizardtpu_compile.checkpoint.config import ModelConfig
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.precision import WeightFormat, check

INT4 = WeightFormat(4, 64, "f16")
F16 = WeightFormat(16, None, "f16")
BF16 = WeightFormat(16, None, "bf16")


def config(hidden: int = 6144, inner: int | None = None) -> ModelConfig:
    return ModelConfig(model_type="gpt_bigcode", n_embd=hidden, n_inner=inner, n_head=1)


@pytest.mark.parametrize(
    "form", [INT4, F16, BF16, WeightFormat(8, 32, "bf16"), WeightFormat(4, 128, "f16"), WeightFormat(8, 3, "f16")]
)
def test_what_fits_passes(form: WeightFormat) -> None:
    check(form, config())


@pytest.mark.parametrize(
    ("form", "model", "words"),
    [
        (INT4, config(96), "--group-size 64: must divide the model's n_embd 96 and n_inner 384; .* is 48"),
        (INT4, config(128, 200), "--group-size 64: .* n_inner 200; the next smaller one is 8"),
        (WeightFormat(8, 4096, "f16"), config(64, 256), "--group-size 4096: .* is 64"),
        (WeightFormat(8, 0, "f16"), config(), "--group-size 0: .* is 1"),
        (WeightFormat(4, 5, "f16"), config(75, 300), "--quantize int4: .* n_embd is 75; give int8"),
        (WeightFormat(4, 5, "f16"), config(100, 75), "--quantize int4: .* n_inner is 75; give int8"),
    ],
)
def test_groups_that_do_not_fit(form: WeightFormat, model: ModelConfig, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        check(form, model)


def test_a_group_size_does_not_matter_at_16_bits() -> None:
    check(F16, config(75))


def test_the_embedding_must_be_of_the_type_that_the_blocks_read() -> None:
    check(WeightFormat(4, 64, "bf16"), config(), embedding="bf16")
    with pytest.raises(OptionError, match=r"--embedding f16: the blocks read bf16.*--activations f16"):
        check(WeightFormat(4, 64, "bf16"), config(), embedding="f16")


def test_weights_of_16_bits_are_not_shared_out() -> None:
    check(INT4, config(), devices=2)
    with pytest.raises(OptionError, match=r"--num-device 2: .*--quantize int8 or int4"):
        check(F16, config(), devices=2)
