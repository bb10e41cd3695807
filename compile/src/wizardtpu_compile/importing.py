"""From a bmodel that others compiled to a bundle."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
from wizardtpud.model.foreign.model import ForeignModel
from wizardtpud.model.manifest import TOKENIZER_NAME, Manifest
from wizardtpud.text.tokenizer import Tokenizer

from wizardtpu_compile.bundle_writer import BundleWriter
from wizardtpu_compile.chat_template import check_given, check_own
from wizardtpu_compile.disk import link_or_copy
from wizardtpu_compile.stage_progress import StageProgress
from wizardtpu_compile.staging import check_output, staged
from wizardtpu_compile.targets.tpu.plan import MODEL_NAME


@dataclass(frozen=True)
class ImportOptions:
    """Choices for an import.

    Attributes:
        name: of the model, if not that of the bmodel's directory.
        chat_template: Jinja source in place of the model's own.
        force: replace a bundle that is there.
    """

    name: str | None = None
    chat_template: str | None = None
    force: bool = False


@dataclass(frozen=True)
class ImportResult:
    """What was made: the bundle's directory and manifest, and the seconds it took."""

    directory: Path
    manifest: Manifest
    seconds: float


def import_model(
    model: ForeignModel, output: Path, options: ImportOptions, progress: StageProgress
) -> ImportResult:
    """Makes a bundle, whole or not at all. The bmodel is not copied where it can have a second name.

    Raises:
        BundleError: a file is missing, damaged or of another model, or the bmodel is in no known layout.
        OptionError, CheckpointError: the chat template that was given, or the model's own, cannot make a prompt.
        OutputError: the output is taken.
        OSError: reading or writing failed, such as on a full disk.
    """
    began = time.monotonic()
    output = output.absolute()
    check = functools.partial(check_output, output, options.force)
    check()
    manifest = _describe(model, options)
    with staged(output, check) as directory:
        writer = BundleWriter(directory)
        writer.add(TOKENIZER_NAME, model.tokenizer.read_bytes())
        _bring(model.bmodel, directory / MODEL_NAME, progress)
        _account(writer, model.bmodel.stat().st_size, progress)
        manifest = msgspec.structs.replace(manifest, files=writer.files)
        writer.finish(manifest)
    return ImportResult(output, manifest, time.monotonic() - began)


def _describe(model: ForeignModel, options: ImportOptions) -> Manifest:
    """The manifest but for the files; what the daemon would refuse is refused here."""
    if options.chat_template is not None:
        check_given(options.chat_template)
    name = options.name or model.bmodel.resolve().parent.name
    manifest = model.manifest(name, options.chat_template)
    check_own(manifest.chat_template, model.config)
    Tokenizer.load(model.tokenizer, manifest.architecture.vocabulary)
    made_with = {"wizardtpu-compile": version("wizardtpu-compile"), **manifest.made_with}
    return msgspec.structs.replace(manifest, made_with=made_with)


def _bring(bmodel: Path, place: Path, progress: StageProgress) -> None:
    progress.start("linking or copying the bmodel", bmodel.stat().st_size)
    link_or_copy(bmodel, place, progress.advance)


def _account(writer: BundleWriter, size: int, progress: StageProgress) -> None:
    progress.start("hashing it", size)
    hashed = 0

    def on_progress(done: int, _total: int) -> None:
        nonlocal hashed
        progress.advance(done - hashed)
        hashed = done

    writer.account(MODEL_NAME, on_progress)
