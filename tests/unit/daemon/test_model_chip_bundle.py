"""Bundles for the chip: the bmodel is what the manifest says, before any runtime sees it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from wizardtpud.errors import BundleError
from wizardtpud.model.bmodel.reading import read_model
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.manifest import MANIFEST_NAME, FileEntry, Manifest

from tests.support.foreign_model import llm_convert_nets, wizardcoder_nets, write_foreign_model
from tests.support.small_bundle import manifest, write_manifest
from tests.support.tampering import edit_manifest
from tests.support.tiny_bmodel import TinyNet, write_tiny_bmodel

MODEL = "model.bmodel"


def write_bundle(directory: Path, content: Manifest, nets: list[TinyNet], **bmodel: Any) -> Path:
    directory.mkdir()
    write_tiny_bmodel(directory / MODEL, nets, **bmodel)
    (directory / "tokenizer.json").write_bytes(b"{}")
    files = {}
    for name in (MODEL, "tokenizer.json"):
        data = (directory / name).read_bytes()
        files[name] = FileEntry(len(data), hashlib.sha256(data).hexdigest())
    networks = [replace(entry, file=MODEL) for entry in content.networks]
    write_manifest(directory, replace(content, target="bm1684x", networks=networks, files=files))
    return directory


def own_nets() -> list[TinyNet]:
    return [TinyNet(entry.name) for entry in manifest().networks]


def foreign(tmp_path: Path) -> Manifest:
    """That of a model of llm_convert.py."""
    return Bundle.open(write_foreign_model(tmp_path / "foreign")).manifest


def refused(directory: Path, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.open(directory)


def test_a_bundle_that_was_made_before_there_were_layouts(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", manifest(), own_nets())

    def as_before(content: dict[str, Any]) -> None:
        for name in ("layout", "sampling", "device_bytes"):
            del content[name]

    edit_manifest(directory, as_before)
    bundle = Bundle.open(directory)
    assert (bundle.manifest.layout, bundle.manifest.sampling) == ("wizardtpu", True)
    assert bundle.manifest.device_bytes is None
    assert bundle.bmodel == directory / MODEL
    assert bundle.device_bytes == read_model(bundle.bmodel).device_bytes


def test_the_manifest_tells_what_loading_takes(tmp_path: Path) -> None:
    """If scratch memory is shared; what it takes if not, the bmodel tells."""
    content = replace(manifest(), device_bytes=12345)
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", content, own_nets()))
    assert bundle.device_bytes == 12345
    assert bundle.unshared_device_bytes == read_model(bundle.bmodel).memory().unshared


def test_a_bundle_of_a_foreign_model(tmp_path: Path) -> None:
    content = foreign(tmp_path)
    bundle = Bundle.open(write_bundle(tmp_path / "bundle", content, llm_convert_nets()))
    assert (bundle.manifest.layout, bundle.bmodel.name) == ("llm-convert", MODEL)
    assert bundle.digest == hashlib.sha256((bundle.directory / MANIFEST_NAME).read_bytes()).hexdigest()
    assert json.loads((bundle.directory / MANIFEST_NAME).read_bytes())["quantization"] is None


def test_a_network_is_missing(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", manifest(), own_nets()[1:])
    refused(directory, r"model\.bmodel: it has no network lm_head_b1; rebuild the bundle")


def test_another_chip(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", manifest(), own_nets(), chip="BM1690")
    refused(directory, "for the chip 'BM1690', not for a BM1684X")


def test_another_number_of_devices(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", manifest(), own_nets(), devices=2)
    refused(directory, "it is for 2 devices, and the manifest says 1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": 16}, "its networks are of another model: context 32 instead of 16"),
        ({"sampling": True}, "it gives tokens and no logits, and the manifest says that there is sampling"),
    ],
)
def test_a_manifest_of_another_foreign_model(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    content = replace(foreign(tmp_path), **changes)
    refused(write_bundle(tmp_path / "bundle", content, llm_convert_nets()), message)


def test_another_layout(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle", foreign(tmp_path), wizardcoder_nets())
    refused(directory, "its layout is wizardcoder-tpu, and the manifest says llm-convert")


def test_two_bmodels(tmp_path: Path) -> None:
    bundle = Bundle(
        tmp_path,
        replace(foreign(tmp_path), files={"a.bmodel": FileEntry(1, ""), "b.bmodel": FileEntry(1, "")}),
        "",
    )
    with pytest.raises(BundleError, match="are in 2 files, and a chip loads one"):
        _ = bundle.bmodel
