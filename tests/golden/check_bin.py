"""Checks that `.bin` files that torch writes are read like safetensors: for environments with torch.

Run from the repository's root: PYTHONPATH=compile/src python -m tests.golden.check_bin
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint, expected_shapes
from wizardtpu_compile.errors import CheckpointError

from tests.support.random_checkpoint import DTYPES, write_random_checkpoint


def main() -> None:
    for dtype in DTYPES:
        with tempfile.TemporaryDirectory() as scratch:
            source = write_random_checkpoint(Path(scratch) / "source", dtype=dtype)
            for write in (write_whole, write_shards, write_module, write_views):
                compare(source, converted(source, Path(scratch) / write.__name__, write))
            check_refusals(source, Path(scratch))
        print(f"{dtype}: .bin files agree with safetensors", flush=True)


def converted(source: Path, target: Path, write: Callable[[Path, dict[str, torch.Tensor]], None]) -> Path:
    target.mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(source / name, target)
    write(target, load_file(source / "model.safetensors"))
    return target


def write_whole(target: Path, tensors: dict[str, torch.Tensor]) -> None:
    torch.save(tensors, target / "pytorch_model.bin")


def write_shards(target: Path, tensors: dict[str, torch.Tensor]) -> None:
    where = {name: f"pytorch_model-{i % 3 + 1:05d}-of-00003.bin" for i, name in enumerate(tensors)}
    for file in set(where.values()):
        torch.save({name: tensors[name] for name in tensors if where[name] == file}, target / file)
    (target / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": where}))


def write_module(target: Path, tensors: dict[str, torch.Tensor]) -> None:
    """The state_dict of a module: an OrderedDict with notes of torch's, and Parameters if they are kept."""
    module = torch.nn.Module()
    for name, tensor in tensors.items():
        *parents, last = name.split(".")
        owner = module
        for parent in parents:
            owner.add_module(parent, owner._modules.get(parent) or torch.nn.Module())
            owner = owner.get_submodule(parent)
        owner.register_parameter(last, torch.nn.Parameter(tensor))
    torch.save(module.state_dict(keep_vars=True), target / "pytorch_model.bin")


def write_views(target: Path, tensors: dict[str, torch.Tensor]) -> None:
    """All tensors are views of one storage, the matrices transposed ones."""
    storage = torch.cat([tensor.t().reshape(-1) for tensor in tensors.values()])
    ends = np.cumsum([tensor.numel() for tensor in tensors.values()]).tolist()
    views = {
        name: storage[end - tensor.numel() : end].view(tensor.t().shape).t()
        for (name, tensor), end in zip(tensors.items(), ends, strict=True)
    }
    tied = {"lm_head.weight": views["transformer.wte.weight"]}
    torch.save({**views, **tied}, target / "pytorch_model.bin")


def compare(source: Path, target: Path) -> None:
    expected, found = Checkpoint.open(source), Checkpoint.open(target)
    for name in expected_shapes(expected.config):
        np.testing.assert_array_equal(found.read(name), expected.read(name), err_msg=name)


def check_refusals(source: Path, scratch: Path) -> None:
    def truncated(target: Path, tensors: dict[str, torch.Tensor]) -> None:
        write_whole(target, tensors)
        path = target / "pytorch_model.bin"
        path.write_bytes(path.read_bytes()[:1000])

    def program(target: Path, _: dict[str, torch.Tensor]) -> None:
        torch.save(Program(), target / "pytorch_model.bin")

    def a_list(target: Path, tensors: dict[str, torch.Tensor]) -> None:
        torch.save(list(tensors.values()), target / "pytorch_model.bin")

    def a_model(target: Path, _: dict[str, torch.Tensor]) -> None:
        torch.save(torch.nn.Linear(2, 2), target / "pytorch_model.bin")

    def legacy(target: Path, tensors: dict[str, torch.Tensor]) -> None:
        torch.save(tensors, target / "pytorch_model.bin", _use_new_zipfile_serialization=False)

    for write in (truncated, program, a_list, a_model, legacy):
        target = converted(source, scratch / write.__name__, write)
        try:
            Checkpoint.open(target)
        except CheckpointError as error:
            if write is legacy:
                check_cure(source, target, str(error))
            continue
        sys.exit(f"a .bin file that is {write.__name__} was not refused")


def check_cure(source: Path, target: Path, message: str) -> None:
    """What the message says to do about a file of the form before torch 1.6 makes it readable."""
    cure = "torch.save(torch.load(path, weights_only=True), path)"
    assert cure in message
    path = target / "pytorch_model.bin"
    torch.save(torch.load(path, weights_only=True), path)
    compare(source, target)


class Program:
    """Pickles to a call: reading it as an arbitrary pickle would end the process."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return sys.exit, ("a pickle was run",)


if __name__ == "__main__":
    main()
