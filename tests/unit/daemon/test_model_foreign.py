"""Models that others compiled: what a directory without a manifest must hold, and what is made of it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.header import Header
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpud.model.foreign.discovery import discover

from tests.support import foreign_model as made
from tests.support.foreign_model import (
    CONFIG,
    CONTEXT,
    WIZARDCODER_CONFIG,
    llm_convert_nets,
    wizardcoder_nets,
    write_foreign_model,
)
from tests.support.tampering import cut
from tests.support.tiny_bmodel import FLOAT32, INT8, TinyNet, write_tiny_bmodel

BMODEL = "qwen_w4f16_seq32_bm1684x.bmodel"
Change = Callable[[Path], object]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_foreign_model(tmp_path / "qwen-coder")


def refused(directory: Path, *parts: str) -> None:
    with pytest.raises(BundleError) as error:
        Bundle.open(directory)
    for part in parts:
        assert part in str(error.value)


def write_json(path: Path, **values: Any) -> None:
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | values))


class TestAdopted:
    def test_a_directory_of_the_vendor_s_converter(self, directory: Path) -> None:
        bundle = Bundle.open(directory)
        manifest = bundle.manifest
        assert (manifest.name, manifest.target, manifest.layout) == ("qwen-coder", "bm1684x", "llm-convert")
        numbers = manifest.architecture
        assert (numbers.family, numbers.layers, numbers.heads, numbers.kv_heads) == ("qwen2", 2, 4, 2)
        assert (numbers.head_dim, numbers.hidden, numbers.inner, numbers.positions) == (8, 16, 48, 4096)
        assert (manifest.context, manifest.devices, manifest.sampling) == (CONTEXT, 1, False)
        assert (manifest.quantization, manifest.networks) == (None, [])
        assert manifest.end_of_text == [0, made.end_of_turn_id()]
        assert bundle.bmodel == directory / BMODEL
        assert bundle.tokenizer == directory / "config" / "tokenizer.json"
        assert bundle.device_bytes == read_model(bundle.bmodel).device_bytes
        assert bundle.manifest.size == bundle.bmodel.stat().st_size + bundle.tokenizer.stat().st_size

    def test_files_beside_the_bmodel(self, tmp_path: Path) -> None:
        bundle = Bundle.open(write_foreign_model(tmp_path / "flat", beside=True))
        assert bundle.tokenizer == tmp_path / "flat" / "tokenizer.json"

    def test_networks_of_the_original_demonstration(self, tmp_path: Path) -> None:
        nets = wizardcoder_nets()
        manifest = Bundle.open(
            write_foreign_model(tmp_path / "wizard", nets, config=WIZARDCODER_CONFIG, template=None)
        ).manifest
        assert (manifest.layout, manifest.sampling, manifest.context) == ("wizardcoder-tpu", False, CONTEXT)
        assert (manifest.architecture.kv_heads, manifest.architecture.head_dim) == (1, 4)
        assert manifest.chat_template == WIZARDCODER_CHAT_TEMPLATE

    @pytest.mark.parametrize("options", [{"dynamic": True, "chunk": 8}, {"history": True, "chunk": 8}])
    def test_prompts_are_read_in_chunks(self, tmp_path: Path, options: dict[str, Any]) -> None:
        nets = llm_convert_nets(**options)
        assert Bundle.open(write_foreign_model(tmp_path / "x", nets)).manifest.context == CONTEXT
        found = discover(read_model(write_tiny_bmodel(tmp_path / "y", nets)))
        assert (found.numbers.context, found.numbers.chunk) == (CONTEXT, 8)

    def test_a_head_with_logits_means_sampling(self, tmp_path: Path) -> None:
        assert Bundle.open(write_foreign_model(tmp_path / "x", llm_convert_nets(sampling=True))).manifest.sampling

    def test_networks_that_chips_share_are_known_by_their_names(self, tmp_path: Path) -> None:
        divided = [
            replace(net, name=f"{net.name}_{device}", main_name=net.name, device=device)
            for net in llm_convert_nets()
            for device in (0, 1)
        ]
        assert Bundle.open(write_foreign_model(tmp_path / "x", divided, devices=2)).manifest.devices == 2

    def test_nobody_vouches_for_the_files(self, directory: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING, logger="wizardtpud"):
            Bundle.open(directory)
        (record,) = caplog.records
        assert "nobody vouches for its files" in record.message
        assert f"wizardtpu-compile import {directory / BMODEL} {directory / 'config'} -o" in record.message

    def test_the_digest_is_the_model_s(self, directory: Path, tmp_path: Path) -> None:
        digest = Bundle.open(directory).digest
        assert Bundle.open(directory).digest == digest
        twin = write_foreign_model(tmp_path / "elsewhere" / "qwen-coder")
        assert Bundle.open(twin).digest == digest
        content = bytearray((twin / BMODEL).read_bytes())
        content[-1] ^= 1  # in the weights: nothing but the hash tells
        (twin / BMODEL).write_bytes(content)
        assert Bundle.open(twin).digest != digest

    def test_progress_counts_every_byte(self, directory: Path) -> None:
        seen: list[tuple[int, int]] = []
        bundle = Bundle.open(directory, lambda *progress: seen.append(progress))
        assert seen[-1] == (bundle.manifest.size, bundle.manifest.size)


class TestEndOfText:
    def test_each_file_is_asked(self, directory: Path) -> None:
        write_json(directory / "config" / "generation_config.json", eos_token_id=[7, 0])
        assert Bundle.open(directory).manifest.end_of_text == [7, 0, made.end_of_turn_id()]

    def test_none_is_known(self, directory: Path) -> None:
        write_json(directory / "config" / "config.json", eos_token_id=None)
        write_json(directory / "config" / "tokenizer_config.json", eos_token=None)
        refused(directory, "no token ends an answer; write eos_token_id into generation_config.json")


class TestChatTemplate:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("chat_template.jinja", "{{ messages }}"),
            ("chat_template.json", '{"chat_template": "{{ messages }}"}'),
            (
                "tokenizer_config.json",
                json.dumps({"chat_template": [{"name": "default", "template": "{{ messages }}"}]}),
            ),
        ],
    )
    def test_every_place_is_looked_at(self, directory: Path, name: str, content: str) -> None:
        (directory / "config" / name).write_text(content)
        assert Bundle.open(directory).manifest.chat_template == "{{ messages }}"

    def test_special_tokens_are_written_into_it(self, directory: Path) -> None:
        write_json(directory / "config" / "tokenizer_config.json", bos_token='<"s">')
        template = Bundle.open(directory).manifest.chat_template
        assert template == '{% set bos_token = "<\\"s\\">" %}\n' + made.TEMPLATE

    def test_there_is_none(self, tmp_path: Path) -> None:
        refused(
            write_foreign_model(tmp_path / "x", template=None),
            "put its chat template there as chat_template.jinja",
            "import BMODEL CONFIG_DIR --chat-template FILE",
        )


SAMPLING, HISTORY = llm_convert_nets(sampling=True), llm_convert_nets(history=True)


def without(name: str, nets: list[TinyNet] | None = None) -> list[TinyNet]:
    return [net for net in nets or llm_convert_nets() if net.name != name]


def changed(name: str, nets: list[TinyNet] | None = None, **fields: Any) -> list[TinyNet]:
    return [replace(net, **fields) if net.name == name else net for net in nets or llm_convert_nets()]


class TestRefusedBmodels:
    @pytest.mark.parametrize(
        ("nets", "message"),
        [
            (without("block_cache_1"), "it has 2 layers in the layout llm-convert, and lacks block_cache_1"),
            (without("block_0"), "lacks block_0; compile it again"),
            (without("lm_head"), "lacks lm_head"),
            (
                [net for net in llm_convert_nets() if not net.name.startswith("embedding")],
                "lacks embedding, embedding_cache (llm_convert.py leaves the embedding out with --embedding_disk)",
            ),
            (without("block_kv_0", HISTORY), "lacks block_kv_0"),
            (without("greedy_head", SAMPLING), "lacks greedy_head"),
            ([TinyNet("vit"), TinyNet("block_0")], "its networks (vit, block_0) are in no layout known here"),
            ([TinyNet("embedding_b1_t1")], "of wizardtpu-compile, whose manifest.json is missing"),
            (
                changed("block_1", float_type=FLOAT32),
                "network block_1 is (float32[1, 32, 16], int32[1, 32], float32",
            ),
            (changed("embedding", inputs={"ids": (1, 16)}), "network embedding is (int32[1, 16]) -> "),
            (
                changed("lm_head", SAMPLING, outputs={"logits": (1, 400)}),
                "network greedy_head is (float32[1, 512]) -> (int32[1, 1]) instead of (float32[1, 400]) -> ",
            ),
            (
                changed("lm_head", SAMPLING, types={}),
                "-> (float16[1, 512]) instead of (float16[1, 16]) -> (float32[",
            ),
            (changed("block_1", dynamic=True), "network block_1 is dynamic (float16[1, 32, 16], int32[1, 32], "),
            (
                changed("block_1", inputs={"hidden": (1, 32, 16), "position_ids": (1, 32)}),
                "network block_1 is (float16[1, 32, 16], int32[1, 32]) -> ",
            ),
            (
                changed("block_cache_1", HISTORY, more_stages=()),
                "int32[1, 1], float16[1, 1, 1, 17], float16[1, 16, 2, 8], float16[1, 16, 2, 8]) -> ",
            ),
            (
                [replace(net, float_type=INT8) for net in llm_convert_nets()],
                "its hidden states are int8 instead of float32 or float16 or bfloat16",
            ),
            (
                [*without("block_1"), *changed("block_1", more_stages=[({}, {})])[5:6]],
                "network block_1 is () -> ()",
            ),
            (
                without("lm_head", wizardcoder_nets()),
                "in the layout wizardcoder-tpu, and lacks lm_head",
            ),
            (
                [replace(net, more_stages=()) for net in wizardcoder_nets()],
                "its embedding takes 1 tokens instead of 1 or 32",
            ),
        ],
    )
    def test_networks_that_are_no_model(self, tmp_path: Path, nets: list[TinyNet], message: str) -> None:
        refused(write_foreign_model(tmp_path / "x", nets), BMODEL, message)

    def test_several_sequences_at_once(self, tmp_path: Path) -> None:
        inputs = dict(llm_convert_nets()[-1].inputs or {}) | {"hidden": (4, 1, 16)}
        refused(
            write_foreign_model(
                tmp_path / "x", [*without("block_cache_0"), TinyNet("block_cache_0", inputs=inputs)]
            ),
            "compiled for 4 sequences at once; compile it without --batch",
        )

    def test_another_chip(self, tmp_path: Path) -> None:
        refused(write_foreign_model(tmp_path / "x", chip="BM1688"), "for the chip 'BM1688', not for a BM1684X")

    def test_a_truncated_file(self, directory: Path) -> None:
        cut(directory / BMODEL)
        refused(directory, BMODEL, "the file is truncated")

    def test_two(self, directory: Path) -> None:
        (directory / "other.bmodel").write_bytes(b"")
        refused(directory, f"holds 2 bmodels (other.bmodel, {BMODEL}); leave the one to serve")

    def test_one_that_is_no_regular_file(self, directory: Path) -> None:
        (directory / BMODEL).unlink()
        os.mkfifo(directory / BMODEL)
        refused(directory, f"{BMODEL} is not a regular file")

    def test_one_that_is_elsewhere(self, directory: Path) -> None:
        (directory / BMODEL).rename(directory.parent / "elsewhere")
        (directory / BMODEL).symlink_to(directory.parent / "elsewhere")
        refused(directory, f"{BMODEL} leads out of the bundle")


class TestRefusedFiles:
    @pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
    def test_a_missing_one(self, directory: Path, name: str) -> None:
        (directory / "config" / name).unlink()
        refused(directory, f"has no {name}; copy it there from the model's own directory")

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"num_hidden_layers": 24}, "its networks are of another model: layers 2 instead of 24, says"),
            ({"hidden_size": 8, "head_dim": 4}, "hidden 16 instead of 8, head_dim 8 instead of 4"),
            ({"num_key_value_heads": None}, "kv_heads 2 instead of 4"),
            ({"hidden_size": "16"}, "config.json: Expected `int`, got `str` - at `$.hidden_size`"),
            ({"eos_token_id": 512}, "token 512 ends an answer, but the model's token ids end at 511"),
        ],
    )
    def test_numbers_of_another_model(self, tmp_path: Path, values: dict[str, Any], message: str) -> None:
        refused(write_foreign_model(tmp_path / "x", config={**CONFIG, **values}), message)

    def test_a_vocabulary_of_another_model(self, tmp_path: Path) -> None:
        config = {**CONFIG, "vocab_size": 400}
        refused(write_foreign_model(tmp_path / "x", SAMPLING, config=config), "vocabulary 512 instead of 400")

    def test_a_config_of_another_family(self, tmp_path: Path) -> None:
        refused(
            write_foreign_model(tmp_path / "x", config=WIZARDCODER_CONFIG),
            "config.json: Object missing required field `num_hidden_layers`",
        )

    def test_a_tokenizer_of_another_model(self, directory: Path) -> None:
        write_json(directory / "config" / "tokenizer_config.json", eos_token="<|eot_id|>")
        refused(directory, "tokenizer.json is of another model: it has no '<|eot_id|>'")

    @pytest.mark.parametrize(
        "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"]
    )
    @pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"[]"])
    def test_a_damaged_one(self, directory: Path, name: str, content: bytes) -> None:
        (directory / "config" / name).write_bytes(content)
        refused(directory, name)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_description_gives_a_model_or_an_error(directory: Path, data: st.DataObject) -> None:
    """The vendor's runtime would crash on some of them."""
    content = bytearray((directory / BMODEL).read_bytes())
    end = Header.unpack(bytes(content)).start
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = directory / "damaged"
    damaged.write_bytes(content)
    try:
        discover(read_model(damaged))
    except BundleError:
        return
