"""A bundle for the CPU: one ONNX file for each network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from wizardtpud.model.manifest import (
    TOKENIZER_NAME,
    Manifest,
    NetworkEntry,
    Quantization,
    block_name,
    embedding_name,
    head_name,
)

from wizardtpu_compile.bundle_writer import BundleWriter
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit import onnx as onnx_emitter
from wizardtpu_compile.errors import OptionError
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.gpt_bigcode import networks
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.progress import BuildProgress, NoProgress
from wizardtpu_compile.staging import check_output, staged
from wizardtpu_compile.targets.manifest import ManifestMaker
from wizardtpu_compile.targets.result import BuildResult
from wizardtpu_compile.verification.onnx_verifier import OnnxVerifier

DEFAULTS = CpuOptions()
_TOOLS = ("onnx", "onnxruntime")


def build_cpu_bundle(
    checkpoint: Path,
    output: Path,
    options: CpuOptions = DEFAULTS,
    progress: Callable[[int], BuildProgress] = lambda _total: NoProgress(),
) -> BuildResult:
    """Builds a bundle for the CPU: whole and verified, or not at all.

    Args:
        checkpoint: a GPTBigCode directory of Hugging Face.
        output: the bundle directory to make.
        options: what to make of it.
        progress: called with the amount of work, in weights, once everything has been checked.

    Raises:
        CheckpointError: the checkpoint is damaged, incomplete or of another kind.
        OptionError: an option does not fit the checkpoint.
        OutputError: the output is taken.
        VerificationError: a network does not compute what the checkpoint says.
        OSError: reading or writing failed, such as on a full disk.
    """
    began = time.monotonic()
    output = output.absolute()
    check = functools.partial(check_output, output, options.force)
    check()
    build = _Build(Checkpoint.open(checkpoint), options)
    with staged(output, check) as directory:
        manifest, similarity = build.run(directory, progress)
    return BuildResult(output, manifest, similarity, time.monotonic() - began)


class _Build:
    """A build whose options have been checked against the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, options: CpuOptions) -> None:
        self._checkpoint = checkpoint
        self._options = options
        self._manifest = ManifestMaker(checkpoint, options)
        self._context = self._manifest.context
        self._token_counts = options.token_counts(self._context)
        options.layer_groups(checkpoint.config)  # refuses what is not possible
        self._networks = list(networks(checkpoint, options.layers_per_net))
        for network in self._networks:
            _check_size(network, options)

    def run(
        self, directory: Path, start_progress: Callable[[int], BuildProgress]
    ) -> tuple[Manifest, dict[str, float]]:
        writer = BundleWriter(directory)
        writer.add(TOKENIZER_NAME, self._checkpoint.tokenizer.read_bytes())
        progress = start_progress(sum(network.parameters for network in self._networks))
        try:
            similarity = dict(self._write_networks(writer, progress))
        finally:
            progress.close()
        entries = [entry for network in self._networks for entry in self._entries(network)]
        tools = {tool: version(tool) for tool in _TOOLS}
        manifest = self._manifest.make("cpu", self._quantization(), entries, writer.files, tools)
        writer.finish(manifest)
        return manifest, similarity

    def _write_networks(self, writer: BundleWriter, progress: BuildProgress) -> Iterator[tuple[str, float]]:
        """Emits, writes and verifies one network after the other, so that one is in memory at a time."""
        verifier = OnnxVerifier(self._checkpoint.config, self._context)
        for network in self._networks:
            progress.start(network.name)
            path = self._write(network, writer)
            similarity = verifier.check(network, path, self._options.precision(network.role))
            detail = f"{path.stat().st_size / 1e6:.1f} MB, cosine {similarity:.6f}"
            progress.finish(network.name, network.parameters, detail)
            yield _file(network), similarity

    def _write(self, network: Network, writer: BundleWriter) -> Path:
        model = onnx_emitter.emit(network, self._options.quantization(network.role))
        return writer.add(_file(network), model.SerializeToString())

    def _quantization(self) -> Quantization:
        options = self._options
        return Quantization(
            blocks=options.precision("block"),
            lm_head=options.precision("lm_head"),
            embedding="f32",
            group_size=None if options.quantize == "f32" else options.group_size,
        )

    def _entries(self, network: Network) -> Iterator[NetworkEntry]:
        """One entry for each shape that the file of a network serves."""
        file = _file(network)
        if network.role in {"lm_head", "greedy_head"}:
            yield NetworkEntry(name=head_name(network.role, 1), role=network.role, file=file)
            return
        for tokens in self._token_counts:
            if network.layer is None:
                yield NetworkEntry(name=embedding_name(1, tokens), role="embedding", file=file, tokens=tokens)
            else:
                yield NetworkEntry(
                    name=block_name(network.layer, 1, tokens, self._context),
                    role="block",
                    file=file,
                    tokens=tokens,
                    history=self._context,
                    first_layer=network.layer,
                    layers=network.layers,
                )


def _file(network: Network) -> str:
    return f"nets/{network.name}.onnx"


def _check_size(network: Network, options: CpuOptions) -> None:
    size = onnx_emitter.weight_bytes(network, options.quantization(network.role))
    if size > onnx_emitter.LARGEST_MODEL:
        raise OptionError(
            f"{network.name} would take {size / 1e9:.1f} GB at --quantize {options.quantize}, and an ONNX file "
            f"holds at most {onnx_emitter.LARGEST_MODEL / 1e9:.1f} GB"
        )
