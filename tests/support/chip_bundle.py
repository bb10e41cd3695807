"""A bundle for the BM1684X with blocks of chosen sizes and weights of 16 bits, made without the build's steps."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from wizardtpu_compile.bmodel.assembly import Assembly
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import emit, write_weights
from wizardtpu_compile.network import gpt_bigcode
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.precision import Float, WeightFormat
from wizardtpu_compile.toolchain.compiler import compile_network
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpud.model.loading import dimensions
from wizardtpud.model.manifest import (
    FORMAT,
    MANIFEST_NAME,
    TOKENIZER_NAME,
    Architecture,
    FileEntry,
    Manifest,
    NetworkEntry,
    Quantization,
    block_name,
    embedding_name,
    head_name,
)

MODEL = "model.bmodel"


def write_chip_bundle(
    toolchain: Toolchain,
    checkpoint_directory: Path,
    directory: Path,
    element: Float,
    *,
    context: int,
    chunks: Sequence[int],
    blocks: Sequence[int],
) -> Path:
    """Writes the bundle into `directory`; returns it. `blocks` are the numbers of layers of each block."""
    checkpoint, form = Checkpoint.open(checkpoint_directory), WeightFormat(16, None, element)
    directory.mkdir()
    shutil.copy(checkpoint.tokenizer, directory / TOKENIZER_NAME)
    planned = [
        *_embeddings(checkpoint, chunks),
        *_blocks(checkpoint, context, chunks, blocks),
        (NetworkEntry(head_name("lm_head", 1), "lm_head", MODEL), gpt_bigcode.lm_head(checkpoint)),
        (NetworkEntry(head_name("greedy_head", 1), "greedy_head", MODEL), gpt_bigcode.greedy_head(checkpoint)),
    ]
    work = directory.with_name(f"{directory.name}.work")
    work.mkdir()
    assembly = Assembly.open(work / MODEL)
    for entry, network in planned:
        assembly.add(entry.name, [_compile(toolchain, work, entry, network, form)])
    assembly.finish()
    assembly.path.rename(directory / MODEL)
    manifest = _manifest(checkpoint, directory, context, [entry for entry, _ in planned], form)
    (directory / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
    return directory


def _embeddings(checkpoint: Checkpoint, chunks: Sequence[int]) -> Iterator[tuple[NetworkEntry, Network]]:
    network = gpt_bigcode.embedding(checkpoint)
    for tokens in chunks:
        yield NetworkEntry(embedding_name(1, tokens), "embedding", MODEL, tokens=tokens), network


def _blocks(
    checkpoint: Checkpoint, context: int, chunks: Sequence[int], blocks: Sequence[int]
) -> Iterator[tuple[NetworkEntry, Network]]:
    first = 0
    for layers in blocks:
        network = gpt_bigcode.block(checkpoint, first, layers)
        for tokens in chunks:
            entry = NetworkEntry(
                block_name(first, 1, tokens, context),
                "block",
                MODEL,
                tokens=tokens,
                history=context,
                first_layer=first,
                layers=layers,
            )
            yield entry, network
        first += layers


def _compile(toolchain: Toolchain, work: Path, entry: NetworkEntry, network: Network, form: WeightFormat) -> Path:
    weights, mlir, bmodel, log = (work / f"{entry.name}.{suffix}" for suffix in ("npz", "mlir", "bmodel", "log"))
    write_weights(network, form, weights)
    mlir.write_text(emit(network, entry.name, dimensions(entry), form, weights.name))
    compile_network(toolchain, mlir, bmodel, log)
    return bmodel


def _manifest(
    checkpoint: Checkpoint, directory: Path, context: int, networks: list[NetworkEntry], form: WeightFormat
) -> Manifest:
    config = checkpoint.config
    return Manifest(
        format=FORMAT,
        name="chip",
        target="bm1684x",
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
        quantization=Quantization(blocks=form.float, lm_head=form.float, embedding=form.float),
        context=context,
        chat_template="{{ messages[0].content }}",
        end_of_text=[0],
        networks=networks,
        files={path.name: _file(path) for path in directory.iterdir()},
    )


def _file(path: Path) -> FileEntry:
    data = path.read_bytes()
    return FileEntry(len(data), hashlib.sha256(data).hexdigest())
