"""Reading checkpoints, and refusing those that cannot be compiled, by the name of what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.errors import CheckpointError

from tests.support.edited_checkpoint import edit_json, edit_tensors
from tests.support.random_checkpoint import byte_level_tokenizer, write_random_checkpoint, write_weights

FC_WEIGHT = "transformer.h.1.mlp.c_fc.weight"


def refused(checkpoint: Path, *words: str) -> None:
    """Opening or reading all of the checkpoint fails with a message that has all of `words`."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.open(checkpoint).read("h.1.mlp.c_fc.weight")
    assert [word for word in words if word not in str(caught.value)] == []


def test_names_a_path_that_is_no_directory(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "nowhere", "not a directory")


def test_names_a_missing_config(tmp_path: Path) -> None:
    refused(tmp_path, "config.json", "missing")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"null", b'{"model_type": ["gpt_bigcode"]}'])
def test_names_a_config_that_is_not_one(checkpoint: Path, content: bytes) -> None:
    (checkpoint / "config.json").write_bytes(content)
    refused(checkpoint, "config.json")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("model_type", "llama", ["llama", "gpt_bigcode"]),
        ("multi_query", False, ["multi_query"]),
        ("activation_function", "relu", ["activation_function", "relu"]),
        ("add_cross_attention", True, ["add_cross_attention"]),
        ("n_head", 3, ["n_embd 64", "n_head 3"]),
        ("n_layer", 0, ["n_layer"]),
        ("n_embd", "64", ["n_embd"]),
        ("layer_norm_epsilon", -1.0, ["layer_norm_epsilon"]),
        ("eos_token_id", 320, ["eos_token_id", "320"]),
        ("eos_token_id", [], ["eos_token_id"]),
    ],
)
def test_names_an_unsupported_setting(checkpoint: Path, key: str, value: Any, words: list[str]) -> None:
    edit_json(checkpoint / "config.json", **{key: value})
    refused(checkpoint, "config.json", *words)


def test_names_what_is_expected_when_there_are_no_weights(checkpoint: Path) -> None:
    (checkpoint / "model.safetensors").unlink()
    refused(checkpoint, "model.safetensors", "pytorch_model.bin")


def test_names_a_missing_shard(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint(tmp_path, shards=3)
    (checkpoint / "model-00002-of-00003.safetensors").unlink()
    refused(checkpoint, "model-00002-of-00003.safetensors", "missing")


def test_names_a_tensor_that_is_not_in_its_shard(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint(tmp_path, shards=2)
    index = checkpoint / "model.safetensors.index.json"
    where = json.loads(index.read_text())["weight_map"]
    edit_json(index, weight_map={**where, "transformer.ghost": where[FC_WEIGHT]})
    refused(checkpoint, where[FC_WEIGHT], "transformer.ghost")


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": {"a": 1}}'])
def test_names_a_damaged_index(tmp_path: Path, content: str) -> None:
    checkpoint = write_random_checkpoint(tmp_path, shards=2)
    (checkpoint / "model.safetensors.index.json").write_text(content)
    refused(checkpoint, "model.safetensors.index.json")


def test_does_not_follow_an_index_out_of_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "checkpoint")
    (checkpoint / "model.safetensors").rename(tmp_path / "outside.safetensors")
    (checkpoint / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../outside.safetensors"}}')
    refused(checkpoint, "outside.safetensors")


@pytest.mark.parametrize("size", [0, 5, 1000])
def test_names_a_truncated_file(checkpoint: Path, size: int) -> None:
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    refused(checkpoint, "model.safetensors")


def test_names_a_missing_tensor(checkpoint: Path) -> None:
    edit_tensors(checkpoint, {FC_WEIGHT: None})
    refused(checkpoint, "h.1.mlp.c_fc.weight", "missing")


def test_names_a_tensor_of_the_wrong_shape(checkpoint: Path) -> None:
    edit_tensors(checkpoint, {FC_WEIGHT: np.zeros((64, 256), np.float16)})
    refused(checkpoint, "h.1.mlp.c_fc.weight", "[64, 256]", "[256, 64]")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_names_a_tensor_with_values_that_are_not_finite(checkpoint: Path, value: float) -> None:
    weight = load_file(checkpoint / "model.safetensors")[FC_WEIGHT].copy()
    weight[3, 5] = value
    edit_tensors(checkpoint, {FC_WEIGHT: weight})
    refused(checkpoint, "h.1.mlp.c_fc.weight", "1 values", "NaN or infinite")


def test_names_a_tensor_of_integers(checkpoint: Path) -> None:
    edit_tensors(checkpoint, {FC_WEIGHT: np.zeros((256, 64), np.int8)})
    refused(checkpoint, FC_WEIGHT, "int8", "bfloat16")


def test_a_type_is_refused_before_anything_is_read(checkpoint: Path) -> None:
    edit_tensors(checkpoint, {"transformer.h.1.ln_1.bias": np.zeros(64, np.float64)})
    with pytest.raises(CheckpointError, match=r"h\.1\.ln_1\.bias is float64"):
        Checkpoint.open(checkpoint)


def test_names_a_tensor_that_is_there_twice(checkpoint: Path) -> None:
    edit_tensors(checkpoint, {"h.1.ln_1.bias": np.zeros(64, np.float16)})
    refused(checkpoint, "h.1.ln_1.bias", "two tensors", "prefix")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_names_a_pointer_of_git_lfs(checkpoint: Path, name: str) -> None:
    (checkpoint / "model.safetensors").unlink()
    (checkpoint / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 31000000000\n")
    refused(checkpoint, name, "git lfs pull")


def test_notices_that_a_file_has_changed(checkpoint: Path) -> None:
    opened = Checkpoint.open(checkpoint)
    edit_tensors(checkpoint, {FC_WEIGHT: np.zeros((256, 64), np.float16)})
    with pytest.raises(CheckpointError, match=r"model\.safetensors has changed"):
        opened.read("h.0.ln_1.bias")


def test_names_a_file_that_has_gone(checkpoint: Path) -> None:
    opened = Checkpoint.open(checkpoint)
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
        opened.read("h.0.ln_1.bias")


def test_names_a_missing_head(checkpoint: Path) -> None:
    edit_json(checkpoint / "config.json", tie_word_embeddings=False)
    refused(checkpoint, "lm_head.weight", "missing")


def test_names_a_missing_tokenizer(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").unlink()
    refused(checkpoint, "tokenizer.json", "missing")


def test_names_a_damaged_tokenizer(checkpoint: Path) -> None:
    (checkpoint / "tokenizer.json").write_text('{"version": "1.0"}')
    refused(checkpoint, "tokenizer.json")


def test_refuses_a_tokenizer_with_ids_beyond_the_vocabulary(checkpoint: Path) -> None:
    byte_level_tokenizer(321).save(str(checkpoint / "tokenizer.json"))
    refused(checkpoint, "tokenizer.json", "320")


def test_takes_a_vocabulary_padded_beyond_the_tokenizer(checkpoint: Path) -> None:
    byte_level_tokenizer(300).save(str(checkpoint / "tokenizer.json"))
    assert Checkpoint.open(checkpoint).config.vocab_size == 320


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [(None, 0, [0]), (None, [0, 5], [0, 5]), ([7, 0], 0, [7, 0]), (None, None, [0]), (3, None, [3])],
)
def test_end_of_text(checkpoint: Path, generation: Any, config: Any, expected: list[int]) -> None:
    edit_json(checkpoint / "generation_config.json", eos_token_id=generation)
    edit_json(checkpoint / "config.json", eos_token_id=config)
    assert Checkpoint.open(checkpoint).end_of_text == expected


def test_shards_hold_the_same_as_one_file(tmp_path: Path) -> None:
    whole, dealt = (write_random_checkpoint(tmp_path / str(shards), shards=shards) for shards in (1, 4))
    for name in ("wte.weight", "h.0.attn.c_attn.bias", "ln_f.weight"):
        np.testing.assert_array_equal(Checkpoint.open(whole).read(name), Checkpoint.open(dealt).read(name))


@pytest.mark.parametrize(("dtype", "scalar"), [("float32", np.float32), ("bfloat16", ml_dtypes.bfloat16)])
def test_every_float_type_is_read_as_float32(tmp_path: Path, dtype: str, scalar: type) -> None:
    checkpoint = write_random_checkpoint(tmp_path, dtype=dtype)
    stored = load_file(checkpoint / "model.safetensors")[FC_WEIGHT]
    assert stored.dtype == scalar
    read = Checkpoint.open(checkpoint).read("h.1.mlp.c_fc.weight")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, stored.astype(np.float32))


def test_names_may_lack_the_prefix(checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    expected = Checkpoint.open(checkpoint).read("h.0.ln_1.bias")
    write_weights(checkpoint, {name.removeprefix("transformer."): array for name, array in tensors.items()})
    np.testing.assert_array_equal(Checkpoint.open(checkpoint).read("h.0.ln_1.bias"), expected)


def test_tensors_that_are_not_needed_may_be_anything(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    save_file({**load_file(path), "transformer.h.0.attn.bias": np.ones((8, 8), np.bool_)}, path)
    assert Checkpoint.open(checkpoint).config.n_layer == 2


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_are_those_of_the_whole(tmp_path: Path, dtype: str) -> None:
    checkpoint = Checkpoint.open(write_random_checkpoint(tmp_path, dtype=dtype))
    assert checkpoint.dtype("h.1.mlp.c_fc.weight") == dtype
    for name in ("h.1.mlp.c_fc.weight", "h.1.mlp.c_fc.bias"):
        whole = checkpoint.read(name)
        for start, stop in ((0, 256), (3, 70), (250, 300), (7, 7), (9, 8), (-4, 256)):
            rows = checkpoint.rows(name, start, stop)
            assert rows.dtype == np.float32
            np.testing.assert_array_equal(rows, whole[start:stop])


def test_a_tensor_of_many_strips_is_read_whole(tmp_path: Path) -> None:
    """Each is 4 MB: here one is 2048 rows of 512 float32."""
    checkpoint = write_random_checkpoint(tmp_path, hidden=512, positions=4099, dtype="float32")
    stored = load_file(checkpoint / "model.safetensors")["transformer.wpe.weight"]
    np.testing.assert_array_equal(Checkpoint.open(checkpoint).read("wpe.weight"), stored)


def test_rows_are_refused_for_their_own_values_only(checkpoint: Path) -> None:
    weight = load_file(checkpoint / "model.safetensors")[FC_WEIGHT].copy()
    weight[3, 5] = np.nan
    edit_tensors(checkpoint, {FC_WEIGHT: weight})
    opened = Checkpoint.open(checkpoint)
    assert opened.rows("h.1.mlp.c_fc.weight", 4, 256).shape == (252, 64)
    with pytest.raises(CheckpointError, match=r"h\.1\.mlp\.c_fc\.weight holds 1 values"):
        opened.rows("h.1.mlp.c_fc.weight", 0, 4)


def test_reading_in_rows_takes_little_memory(tmp_path: Path) -> None:
    """Of a file of 512 MB, which is a hole for the most part."""
    rows, columns = 1 << 16, 1 << 12
    header = {"big": {"dtype": "F16", "shape": [rows, columns], "data_offsets": [0, 2 * rows * columns]}}
    text = json.dumps(header).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + 2 * rows * columns)
    program = """
        import resource, sys
        from pathlib import Path
        from wizardtpu_compile.checkpoint.tensors import open_tensors
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before, file = peak(), open_tensors(Path(sys.argv[1]))["big"]
        for start in range(0, 1 << 16, 512):
            assert file.rows("big", start, start + 512).shape == (512, 1 << 12)
        print((peak() - before) * 1024)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program), tmp_path], capture_output=True, check=True)
    assert int(done.stdout) < 100_000_000


class TestFingerprint:
    def test_stays_with_the_checkpoint(self, checkpoint: Path, tmp_path: Path) -> None:
        first = Checkpoint.open(checkpoint).fingerprint()
        assert len(first) == 64
        assert Checkpoint.open(checkpoint).fingerprint() == first
        copy = shutil.copytree(checkpoint, tmp_path / "copy")  # keeps the times
        assert Checkpoint.open(copy).fingerprint() == first

    def test_changes_when_a_byte_is_changed_in_place(self, checkpoint: Path) -> None:
        first = Checkpoint.open(checkpoint).fingerprint()
        path = checkpoint / "model.safetensors"
        before = path.stat().st_mtime_ns
        with path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x01")
        os.utime(path, ns=(before + 1, before + 1))  # at the latest by now
        assert Checkpoint.open(checkpoint).fingerprint() != first

    def test_tells_checkpoints_of_the_same_time_and_size_apart(self, tmp_path: Path) -> None:
        found = set()
        for seed in range(2):
            checkpoint = write_random_checkpoint(tmp_path / str(seed), seed=seed)
            os.utime(checkpoint / "model.safetensors", (1, 1))
            found.add(Checkpoint.open(checkpoint).fingerprint())
        assert len(found) == 2

    def test_changes_with_the_config(self, checkpoint: Path) -> None:
        first = Checkpoint.open(checkpoint).fingerprint()
        edit_json(checkpoint / "config.json", layer_norm_epsilon=2e-5)
        assert Checkpoint.open(checkpoint).fingerprint() != first

    def test_differs_between_tensors(self, sound_checkpoint: Path) -> None:
        checkpoint = Checkpoint.open(sound_checkpoint)
        names = ["h.0.ln_1.bias", "h.1.ln_1.bias", "wte.weight"]
        assert len({checkpoint.fingerprint([name]) for name in names}) == 3
        assert checkpoint.fingerprint(names) == checkpoint.fingerprint(names[::-1])

    def test_looks_only_at_the_files_of_these_tensors(self, tmp_path: Path) -> None:
        checkpoint = write_random_checkpoint(tmp_path, shards=2)
        where = json.loads((checkpoint / "model.safetensors.index.json").read_text())["weight_map"]
        first, second = "wte.weight", "wpe.weight"
        assert where["transformer." + first] != where["transformer." + second]
        before = [Checkpoint.open(checkpoint).fingerprint([name]) for name in (first, second)]
        os.utime(checkpoint / where["transformer." + first], (1, 1))
        after = [Checkpoint.open(checkpoint).fingerprint([name]) for name in (first, second)]
        assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]
