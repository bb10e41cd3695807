"""From a checkpoint directory to a bundle directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from wizardtpud.errors import BundleError
from wizardtpud.model.manifest import (
    FORMAT,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    Architecture,
    Manifest,
    NetworkEntry,
    Quantization,
    block_name,
    embedding_name,
    head_name,
)
from wizardtpud.text.prompt_template import Message, PromptTemplate

from wizardtpu_compile.bundle_writer import BundleWriter
from wizardtpu_compile.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpu_compile.checkpoint.chat_template import read_chat_template
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit import onnx as onnx_emitter
from wizardtpu_compile.errors import CheckpointError, OptionError
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.network.gpt_bigcode import networks
from wizardtpu_compile.options import BuildOptions
from wizardtpu_compile.progress import BuildProgress, NoProgress
from wizardtpu_compile.staging import check_output, staged
from wizardtpu_compile.verify import Verifier

DEFAULTS = BuildOptions()
_TOOLS = ("wizardtpu-compile", "onnx", "onnxruntime")


@dataclass(frozen=True)
class BuildResult:
    """What was built.

    Attributes:
        directory: the bundle.
        manifest: as written.
        similarity: network file -> lowest cosine between its outputs and the float reference's.
        seconds: wall-clock time of the build.
    """

    directory: Path
    manifest: Manifest
    similarity: dict[str, float]
    seconds: float


def build_bundle(
    checkpoint: Path,
    output: Path,
    options: BuildOptions = DEFAULTS,
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
    check_output(output, options.force)
    build = _Build(Checkpoint.open(checkpoint), options)
    with staged(output, options.force) as directory:
        manifest, similarity = build.run(directory, progress)
    return BuildResult(output, manifest, similarity, time.monotonic() - began)


class _Build:
    """A build whose options have been checked against the checkpoint."""

    def __init__(self, checkpoint: Checkpoint, options: BuildOptions) -> None:
        self._checkpoint = checkpoint
        self._options = options
        self._context = options.checked_context(checkpoint.config)
        self._token_counts = options.token_counts(self._context)
        self._template = _chat_template(checkpoint, options)
        self._networks = list(networks(checkpoint))
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
        manifest = self._manifest(writer)
        writer.finish(manifest)
        return manifest, similarity

    def _write_networks(self, writer: BundleWriter, progress: BuildProgress) -> Iterator[tuple[str, float]]:
        """Emits, writes and verifies one network after the other, so that one is in memory at a time."""
        verifier = Verifier(self._checkpoint.config, self._context)
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

    def _manifest(self, writer: BundleWriter) -> Manifest:
        config, options = self._checkpoint.config, self._options
        return Manifest(
            format=FORMAT,
            name=options.name or self._checkpoint.directory.resolve().name,
            target="cpu",
            architecture=Architecture(
                family=config.model_type,
                layers=config.n_layer,
                hidden=config.n_embd,
                heads=config.n_head,
                kv_heads=1,
                head_dim=config.head_dim,
                inner=config.inner,
                vocabulary=config.vocab_size,
                positions=config.n_positions,
            ),
            quantization=Quantization(
                blocks=options.precision("block"),
                lm_head=options.precision("lm_head"),
                embedding="f32",
                group_size=None if options.quantize == "f32" else options.group_size,
            ),
            context=self._context,
            chat_template=self._template,
            end_of_text=self._checkpoint.end_of_text,
            networks=[entry for network in self._networks for entry in self._entries(network)],
            files=writer.files,
            made_with={tool: version(tool) for tool in _TOOLS},
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
                    layers=1,
                )


def _file(network: Network) -> str:
    return f"nets/{network.name}.onnx"


def _chat_template(checkpoint: Checkpoint, options: BuildOptions) -> str:
    if options.chat_template is not None:
        if fault := _fault(options.chat_template):
            raise OptionError(f"--chat-template{fault}")
        return options.chat_template
    source = read_chat_template(checkpoint.directory)
    if source is None:
        return WIZARDCODER_CHAT_TEMPLATE
    if fault := _fault(source):
        raise CheckpointError(f"{checkpoint.directory}: its chat template{fault}")
    return source


def _fault(template: str) -> str | None:
    """What is wrong with a chat template, as the end of a sentence about it."""
    probe = "write quicksort"
    try:
        prompt = PromptTemplate(template).render([Message("user", probe)])
    except BundleError as error:
        return str(error).removeprefix(f"{MANIFEST_NAME}: chat_template")
    return None if probe in prompt else " makes a prompt that leaves out the instruction"


def _check_size(network: Network, options: BuildOptions) -> None:
    size = onnx_emitter.weight_bytes(network, options.quantization(network.role))
    if size > onnx_emitter.LARGEST_MODEL:
        raise OptionError(
            f"{network.name} would take {size / 1e9:.1f} GB at --quantize {options.quantize}, and an ONNX file "
            f"holds at most {onnx_emitter.LARGEST_MODEL / 1e9:.1f} GB"
        )
