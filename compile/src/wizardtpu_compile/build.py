"""From a checkpoint directory to a bundle directory."""
from __future__ import annotations
import hashlib, shutil
from pathlib import Path
import msgspec, onnx
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpu_compile.network.gpt_bigcode import networks
from wizardtpu_compile.options import BuildOptions
from wizardtpu_compile.emit.onnx import emit
from wizardtpu_compile.quantize import quantize
from wizardtpud.model.manifest import *
from wizardtpud.model.manifest import block_name, embedding_name, head_name

def build_bundle(checkpoint: Path, output: Path, options: BuildOptions = BuildOptions()) -> Manifest:
    source = Checkpoint.open(checkpoint)
    c = source.config
    context = options.context or c.n_positions
    chunks = [n for n in options.prefill_chunks if n < context]
    output.mkdir(parents=True); (output / "nets").mkdir()
    entries = []
    for net in networks(source):
        model = emit(net)
        if options.quantize != "f32" and net.role in ("block", "lm_head"):
            model = quantize(model, 8 if net.role == "lm_head" else {"int8": 8, "int4": 4}[options.quantize], options.group_size)
        file = f"nets/{net.name}.onnx"
        onnx.save(model, output / file)
        for t in (1, *chunks):
            if net.role == "embedding": entries.append(NetworkEntry(embedding_name(1, t), net.role, file, tokens=t))
            elif net.role == "block": entries.append(NetworkEntry(block_name(net.layer, 1, t, context), net.role, file, tokens=t, history=context, first_layer=net.layer, layers=1))
            elif t == 1: entries.append(NetworkEntry(head_name(net.role, 1), net.role, file))
    shutil.copy(checkpoint / "tokenizer.json", output / TOKENIZER_NAME)
    files = {}
    for p in sorted(output.rglob("*")):
        if p.is_file():
            data = p.read_bytes(); files[p.relative_to(output).as_posix()] = FileEntry(len(data), hashlib.sha256(data).hexdigest())
    q = options.quantize
    manifest = Manifest(FORMAT, options.name or checkpoint.name, "cpu",
        Architecture("gpt_bigcode", c.n_layer, c.n_embd, c.n_head, 1, c.head_dim, c.inner, c.vocab_size, c.n_positions),
        Quantization(q, "f32" if q == "f32" else "int8", "f32", None if q == "f32" else options.group_size),
        context, options.chat_template or WIZARDCODER_CHAT_TEMPLATE, source.end_of_text, entries, files)
    (output / MANIFEST_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    return manifest
