"""A bundle opens only if every file is what the manifest says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from wizardtpud.errors import BundleError
from wizardtpud.model.bundle import Bundle

from tests.support.small_bundle import CONTENTS, manifest, write_manifest, write_small_bundle

BLOCK = "nets/block_1.onnx"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "bundle")


def test_a_sound_bundle(directory: Path) -> None:
    bundle = Bundle.open(directory)
    assert bundle.manifest == manifest()
    assert bundle.digest == hashlib.sha256((directory / "manifest.json").read_bytes()).hexdigest()
    assert bundle.tokenizer.read_bytes() == b"{}"
    assert bundle.path(BLOCK).read_bytes() == b"second block"
    assert bundle.manifest.size == sum(map(len, CONTENTS.values()))


def test_progress_counts_every_byte(directory: Path) -> None:
    big = os.urandom((2 << 20) + 5)
    (directory / BLOCK).write_bytes(big)
    write_manifest(directory, manifest({**CONTENTS, BLOCK: big}))
    seen: list[tuple[int, int]] = []
    bundle = Bundle.open(directory, lambda *progress: seen.append(progress))
    assert {total for _, total in seen} == {bundle.manifest.size}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == bundle.manifest.size
    assert len(seen) > len(CONTENTS)  # a large file reports more than once


def test_the_compiled_bundle_opens_wherever_it_is_linked(random_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(random_bundle)
    assert Bundle.open(tmp_path / "current").directory == random_bundle.resolve()


def refused(directory: Path, *parts: str) -> None:
    """Opening raises an error that contains all parts."""
    with pytest.raises(BundleError) as error:
        Bundle.open(directory)
    for part in parts:
        assert part in str(error.value)


class TestFiles:
    def test_no_directory(self, tmp_path: Path) -> None:
        refused(tmp_path / "nothing", "there is no bundle at", "nothing")

    def test_a_file_instead_of_a_directory(self, directory: Path) -> None:
        refused(directory / "tokenizer.json", "is not a directory", "wizardtpu-compile")

    def test_an_empty_directory(self, tmp_path: Path) -> None:
        refused(tmp_path, "cannot open 'manifest.json': No such file")

    @pytest.mark.parametrize("name", CONTENTS)
    def test_a_missing_file(self, directory: Path, name: str) -> None:
        (directory / name).unlink()
        refused(directory, f"cannot open '{name}': No such file", "copy the bundle again")

    @pytest.mark.parametrize("name", CONTENTS)
    def test_a_changed_byte(self, directory: Path, name: str) -> None:
        data = bytearray((directory / name).read_bytes())
        data[-1] ^= 1
        (directory / name).write_bytes(data)
        refused(directory, f"{name} is damaged", "sha256", "copy the bundle again")

    def test_a_truncated_file(self, directory: Path) -> None:
        (directory / BLOCK).write_bytes(b"second")
        refused(directory, f"{BLOCK} is truncated: 6 bytes instead of 12")

    def test_a_file_that_is_too_long(self, directory: Path) -> None:
        (directory / BLOCK).write_bytes(b"second block and more")
        refused(directory, f"{BLOCK} is too long: 21 bytes instead of 12")

    def test_a_file_that_nobody_vouches_for(self, directory: Path) -> None:
        (directory / "nets/block_2.onnx").write_bytes(b"third")
        refused(directory, "nets/block_2.onnx is not in the manifest", "remove it")

    def test_a_directory_in_place_of_a_file(self, directory: Path) -> None:
        (directory / BLOCK).unlink()
        (directory / BLOCK).mkdir()
        refused(directory, f"{BLOCK} is not a regular file")

    def test_a_pipe_in_place_of_a_file(self, directory: Path) -> None:
        (directory / BLOCK).unlink()
        os.mkfifo(directory / BLOCK)
        refused(directory, f"{BLOCK} is not a regular file")

    def test_a_link_out_of_the_bundle(self, directory: Path, tmp_path: Path) -> None:
        (directory / BLOCK).rename(tmp_path / "elsewhere")
        (directory / BLOCK).symlink_to(tmp_path / "elsewhere")
        refused(directory, f"{BLOCK} leads out of the bundle")

    def test_a_link_within_the_bundle(self, directory: Path) -> None:
        contents = {**CONTENTS, BLOCK: CONTENTS["nets/block_0.onnx"]}
        (directory / BLOCK).unlink()
        (directory / BLOCK).symlink_to("block_0.onnx")
        write_manifest(directory, manifest(contents))
        assert Bundle.open(directory).path(BLOCK).read_bytes() == b"first block"

    def test_a_link_to_itself(self, directory: Path) -> None:
        (directory / BLOCK).unlink()
        (directory / BLOCK).symlink_to("block_1.onnx")
        refused(directory, f"cannot open '{BLOCK}'", "symbolic links")

    def test_a_name_that_no_file_can_have(self, directory: Path) -> None:
        write_manifest(directory, manifest({**CONTENTS, "a\0b": b"x"}))
        refused(directory, r"cannot open 'a\x00b': ", "embedded null")  # Pythons word it differently

    @pytest.mark.parametrize("name", ["../outside", "nets/../../outside", "{absolute}"])
    def test_a_path_out_of_the_bundle(self, directory: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / "outside").write_bytes(b"x")
        path = name.format(absolute=tmp_path / "outside")
        write_manifest(directory, manifest({**CONTENTS, path: b"x"}))
        refused(directory, f"{path} leads out of the bundle")

    def test_half_of_one_bundle_and_half_of_another(self, directory: Path, tmp_path: Path) -> None:
        other = write_small_bundle(tmp_path / "other")
        (other / BLOCK).write_bytes(b"SECOND BLOCK")
        shutil.copy(other / BLOCK, directory / BLOCK)
        refused(directory, f"{BLOCK} is damaged")


class TestManifest:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is damaged: "),
            (b'{"format": 1', "is damaged: "),
            (b"\xff\xfe\x00", "is damaged: "),
            (b'{"format": 1, "name": "\xff"}', "is damaged: "),
            (b'{"format": 1, "x": ' + b"[" * 100_000, "is damaged: "),
            (b"[]", "is not the manifest of a bundle: Expected `object`"),
            (b"{}", "is not the manifest of a bundle: Object missing required field `format`"),
            (b'{"format": "1"}', "Expected `int`, got `str` - at `$.format`"),
            (b'{"format": 2, "shape": "unheard of"}', "is of format 2 and this daemon reads 1: a newer daemon"),
            (b'{"format": 0}', "is of format 0 and this daemon reads 1: rebuild the bundle"),
        ],
    )
    def test_no_manifest_at_all(self, directory: Path, content: bytes, message: str) -> None:
        (directory / "manifest.json").write_bytes(content)
        refused(directory, "manifest.json", message)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda m: m.update(colour="red"), "unknown field `colour`"),
            (lambda m: m["architecture"].update(depth=3), "unknown field `depth` - at `$.architecture`"),
            (lambda m: m["networks"][1].pop("role"), "missing required field `role` - at `$.networks[1]`"),
            (lambda m: m["networks"][0].update(role="lm_tail"), "Invalid enum value 'lm_tail'"),
            (lambda m: m.update(target="gpu"), "Invalid enum value 'gpu' - at `$.target`"),
            (
                lambda m: m["architecture"].update(layers="2"),
                "Expected `int`, got `str` - at `$.architecture.layers`",
            ),
            (lambda m: m["architecture"].update(layers=0), "Expected `int` >= 1 - at `$.architecture.layers`"),
            (lambda m: m["architecture"].update(layers=1.5), "Expected `int`, got `float`"),
            (lambda m: m["files"][BLOCK].update(sha256="abc"), "Expected `str` matching regex"),
            (lambda m: m["files"][BLOCK].update(bytes=-1), "Expected `int` >= 0"),
            (lambda m: m.update(end_of_text=[]), "Expected `array` of length >= 1 - at `$.end_of_text`"),
            (lambda m: m.update(layout="gguf"), "Invalid enum value 'gguf' - at `$.layout`"),
            (lambda m: m.update(device_bytes=0), "Expected `int` >= 1 - at `$.device_bytes`"),
        ],
    )
    def test_a_wrong_field(self, directory: Path, change: Callable[[Any], None], message: str) -> None:
        path = directory / "manifest.json"
        content = json.loads(path.read_bytes())
        change(content)
        path.write_text(json.dumps(content))
        refused(directory, "is not the manifest of a bundle", message, "rebuild the bundle")

    def test_contradictions_are_found_before_files_are_read(self, directory: Path) -> None:
        write_manifest(directory, msgspec.structs.replace(manifest(), context=17))
        (directory / BLOCK).unlink()
        refused(directory, "context is larger than positions")
