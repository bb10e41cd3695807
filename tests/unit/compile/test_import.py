"""`wizardtpu-compile import`: a bundle of what others compiled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wizardtpu_compile.inspect import describe, report
from wizardtpud.model.bundle import Bundle
from wizardtpud.text.prompt_template import Message, PromptTemplate

from tests.support.compile_command import TIMEOUT, run_command
from tests.support.edited_checkpoint import edit_json
from tests.support.foreign_model import (
    CONFIG,
    WIZARDCODER_CONFIG,
    llm_convert_nets,
    wizardcoder_nets,
    write_foreign_model,
)

BMODEL = "qwen_w4f16_seq32_bm1684x.bmodel"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_foreign_model(tmp_path / "qwen", llm_convert_nets(sampling=True))


def imported(model: Path, output: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return run_command("import", model / BMODEL, model / "config", "-o", output, *options)


def test_a_bundle_that_the_daemon_opens(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    done = imported(model, output)
    assert done.returncode == 0, done.stderr
    assert f"{output}: qwen, qwen2 in the layout llm-convert, context 32, sampling" in done.stdout
    bundle, adopted = Bundle.open(output), Bundle.open(model)
    assert sorted(path.name for path in output.iterdir()) == ["manifest.json", "model.bmodel", "tokenizer.json"]
    assert bundle.device_bytes == adopted.device_bytes
    for field in ("name", "layout", "architecture", "context", "sampling", "chat_template", "end_of_text"):
        assert getattr(bundle.manifest, field) == getattr(adopted.manifest, field)
    assert set(bundle.manifest.made_with) == {"wizardtpu-compile", "bmodel"}
    prompt = PromptTemplate(bundle.manifest.chat_template).render([Message("user", "hello")])
    assert prompt == "<|im_start|>user\nhello<|im_end|>\n"


def test_the_bmodel_has_a_second_name_and_is_not_copied(model: Path, tmp_path: Path) -> None:
    (model / "link").symlink_to(model / BMODEL)
    done = run_command("import", model / "link", model / "config", "-o", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundle" / "model.bmodel").samefile(model / BMODEL)
    assert not (tmp_path / "bundle" / "model.bmodel").is_symlink()


def test_options_and_json(model: Path, tmp_path: Path) -> None:
    output, template = tmp_path / "bundle", tmp_path / "template.jinja"
    template.write_text("{{ messages[0].content }}")
    done = imported(model, output, "--name", "coder", "--chat-template", template, "--json")
    told = json.loads(done.stdout)
    assert (told["name"], told["layout"], told["sampling"], told["devices"]) == ("coder", "llm-convert", True, 1)
    manifest = Bundle.open(output).manifest
    assert (manifest.name, manifest.chat_template) == ("coder", "{{ messages[0].content }}")
    assert told["device_bytes"] == manifest.device_bytes


def test_the_original_demonstration_s_networks(tmp_path: Path) -> None:
    model = write_foreign_model(tmp_path / "wizard", wizardcoder_nets(), config=WIZARDCODER_CONFIG, template=None)
    done = imported(model, tmp_path / "bundle")
    assert "gpt_bigcode in the layout wizardcoder-tpu, context 32, greedy only" in done.stdout
    bundle = Bundle.open(tmp_path / "bundle")
    assert "Below is an instruction" in bundle.manifest.chat_template
    assert "wizard: gpt_bigcode for bm1684x, context 32" in list(describe(bundle))
    assert report(bundle).memory[0].cache == 2 * 2 * 32 * 4 * 4  # sides, layers, rows, width, bytes


@pytest.mark.parametrize(
    ("arguments", "tamper", "code", "message"),
    [
        ((), lambda m: (m / BMODEL).unlink(), 1, f"{BMODEL}: No such file"),
        ((), lambda m: (m / BMODEL).write_bytes(b"x" * 100), 1, "not a bmodel, or not finished"),
        ((), lambda m: (m / "config" / "config.json").unlink(), 1, "has no config.json"),
        (
            (),
            lambda m: (m / "config" / "tokenizer.json").write_text('{"added_tokens": []}'),
            1,
            "of another model",
        ),
        ((), lambda m: write_template(m, "{% if %}"), 1, "its chat template, line 1"),
        ((), lambda m: write_template(m, "Hello!"), 1, "leaves out the instruction"),
        (("--name", " "), None, 2, "a name is needed"),
        (("--chat-template", "nowhere.jinja"), None, 2, "--chat-template cannot be read: nowhere.jinja"),
    ],
)
def test_what_is_refused(  # noqa: PLR0917
    model: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    tamper: Callable[[Path], Any] | None,
    code: int,
    message: str,
) -> None:
    if tamper is not None:
        tamper(model)
    done = imported(model, tmp_path / "bundle", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert not (tmp_path / "bundle").exists()


def write_template(model: Path, source: str) -> None:
    (model / "config" / "chat_template.jinja").write_text(source)


def test_a_tokenizer_with_ids_beyond_the_model_s(tmp_path: Path) -> None:
    model = write_foreign_model(tmp_path / "qwen", config={**CONFIG, "vocab_size": 100})
    edit_json(model / "config" / "tokenizer_config.json", eos_token=None)
    done = imported(model, tmp_path / "bundle")
    assert done.returncode == 1
    assert "tokenizer.json is of another model: it has token ids up to" in done.stderr


def test_nothing_is_replaced_unless_told_to(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    assert imported(model, output).returncode == 0
    again = imported(model, output, "--name", "new")
    assert (again.returncode, "--force replaces it" in again.stderr) == (1, True)
    assert Bundle.open(output).manifest.name == "qwen"
    assert imported(model, output, "--name", "new", "--force").returncode == 0
    assert Bundle.open(output).manifest.name == "new"
    refused = imported(model, model / "config", "--force")
    assert (refused.returncode, "is not a bundle" in refused.stderr) == (1, True)


def test_a_killed_import_leaves_what_was_there(model: Path, tmp_path: Path) -> None:
    output = tmp_path / "bundle"
    assert imported(model, output).returncode == 0
    place = "wizardtpu_compile.bundle_writer:BundleWriter.finish"
    command = [sys.executable, "-m", "tests.support.killed_compile", place, "import", str(model / BMODEL)]
    command += [str(model / "config"), "-o", str(output), "--name", "new", "--force"]
    killed = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert Bundle.open(output).manifest.name == "qwen"
    assert imported(model, output, "--name", "new", "--force").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "qwen"]


def test_help_teaches(tmp_path: Path) -> None:
    text = run_command("import", "--help").stdout
    for words in ("llm_convert.py", "wizardcoder-tpu", "generation_config.json", "exit codes:", "examples:"):
        assert words in text
