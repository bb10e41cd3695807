"""`.bin` files are read without torch, and nothing that they contain is run."""

from __future__ import annotations

import os
import pickle
import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint, expected_shapes
from wizardtpu_compile.checkpoint.tensors import open_tensors
from wizardtpu_compile.errors import CheckpointError

from tests.support.torch_file_writer import (
    View,
    call,
    pickled,
    pickled_items,
    rebuilt,
    write_archive,
    write_torch_file,
)

NAME = "pytorch_model.bin"
VIEW = View("float16", "0", 12, (3, 4), (4, 1))
ELEMENTS = np.arange(12, dtype=np.float16)


def read(directory: Path, name: str = "weight") -> NDArray[np.float32]:
    return open_tensors(directory)[name].read(name)


def refused(directory: Path, *words: str) -> None:
    """Opening the file, or reading "weight" from it, fails with a message that has its name and all of `words`."""
    with pytest.raises(CheckpointError) as caught:
        read(directory)
    assert [word for word in (NAME, *words) if word not in str(caught.value)] == []


def write_contents(directory: Path, contents: bytes, **options: Any) -> None:
    """A file with this table of contents and one storage of 12 float16, which has key 0."""
    write_archive(directory / NAME, contents, [("0", [ELEMENTS.tobytes()])], **options)


def write_view(directory: Path, view: View) -> None:
    write_contents(directory, pickled({"weight": view}))


def as_bin(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    write_torch_file(checkpoint / NAME, load_file(path))
    path.unlink()


def test_holds_the_same_as_safetensors(checkpoint: Path, sound_checkpoint: Path) -> None:
    as_bin(checkpoint)
    expected, found = Checkpoint.open(sound_checkpoint), Checkpoint.open(checkpoint)
    for name in expected_shapes(expected.config):
        np.testing.assert_array_equal(found.read(name), expected.read(name))


def test_shards(checkpoint: Path, sound_checkpoint: Path) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    shards = {name: f"pytorch_model-{i % 2}.bin" for i, name in enumerate(tensors)}
    for shard in set(shards.values()):
        write_torch_file(checkpoint / shard, {name: tensors[name] for name in tensors if shards[name] == shard})
    entries = ", ".join(f'"{name}": "{shard}"' for name, shard in shards.items())
    (checkpoint / f"{NAME}.index.json").write_text(f'{{"weight_map": {{{entries}}}}}')
    expected, found = Checkpoint.open(sound_checkpoint), Checkpoint.open(checkpoint)
    for name in expected_shapes(expected.config):
        np.testing.assert_array_equal(found.read(name), expected.read(name))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_every_float_type_is_read_as_float32(tmp_path: Path, dtype: type) -> None:
    stored: NDArray[Any] = np.linspace(-3, 3, 20).reshape(4, 5).astype(dtype)
    write_torch_file(tmp_path / NAME, {"weight": stored})
    assert read(tmp_path).dtype == np.float32
    np.testing.assert_array_equal(read(tmp_path), stored.astype(np.float32))
    assert open_tensors(tmp_path)["weight"].dtype("weight") == np.dtype(dtype).name


def test_tensors_may_share_a_storage(tmp_path: Path) -> None:
    table = np.arange(60, dtype=np.float32).reshape(10, 6)
    views = {"whole": table, "tied": table, "middle": table[3:7, 1:5], "turned": table.T, "row": table[2]}
    write_torch_file(tmp_path / NAME, views)
    with ZipFile(tmp_path / NAME) as archive:
        assert len([name for name in archive.namelist() if "/data/" in name]) == 1
    for name, view in views.items():
        np.testing.assert_array_equal(read(tmp_path, name), view)


def test_rows_of_a_transposed_view(tmp_path: Path) -> None:
    table = np.arange(60, dtype=np.float16).reshape(10, 6)
    write_torch_file(tmp_path / NAME, {"weight": table.T})
    np.testing.assert_array_equal(open_tensors(tmp_path)["weight"].rows("weight", 2, 5), table.T[2:5])


def test_a_repeated_row(tmp_path: Path) -> None:
    write_view(tmp_path, View("float16", "0", 12, (5, 4), (0, 1), offset=8))
    np.testing.assert_array_equal(read(tmp_path), [[8, 9, 10, 11]] * 5)


def test_an_empty_tensor(tmp_path: Path) -> None:
    write_view(tmp_path, View("float16", "0", 12, (0, 4), (4, 1), offset=12))
    assert read(tmp_path).shape == (0, 4)


def test_a_parameter_is_its_tensor(tmp_path: Path) -> None:
    parameter = call("torch._utils _rebuild_parameter", rebuilt(VIEW), True, call("collections OrderedDict"))
    write_contents(tmp_path, pickled_items({"weight": parameter}))
    np.testing.assert_array_equal(read(tmp_path), ELEMENTS.reshape(3, 4))


def test_without_a_byte_order_it_is_little_endian(tmp_path: Path) -> None:
    write_contents(tmp_path, pickled({"weight": VIEW}), byteorder=None)
    np.testing.assert_array_equal(read(tmp_path), ELEMENTS.reshape(3, 4))


def test_entries_beyond_4_gb(tmp_path: Path) -> None:
    """The file is a hole for the most part, so it takes no room on the disk."""
    write_contents(tmp_path, pickled({"weight": VIEW}), gap=5 << 30)
    assert (tmp_path / NAME).stat().st_size > 5 << 30
    np.testing.assert_array_equal(read(tmp_path), ELEMENTS.reshape(3, 4))


class Touch:
    """Pickles to a call that makes a file."""

    def __init__(self, path: Path, function: Any = os.mkdir) -> None:
        self._call = function, (str(path),)

    def __reduce__(self) -> Any:
        return self._call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["alone", "value", "key", "after"])
def test_a_pickle_is_not_run(tmp_path: Path, protocol: int, place: str) -> None:
    touch = Touch(tmp_path / "touched")
    contents = {"alone": touch, "value": {"weight": touch}, "key": {touch: 1}, "after": [1, touch]}[place]
    write_contents(tmp_path, pickle.dumps(contents, protocol))
    refused(tmp_path)
    assert not (tmp_path / "touched").exists()
    pickle.loads(pickle.dumps(touch, protocol))
    assert (tmp_path / "touched").exists()  # so it would have been


@pytest.mark.parametrize(
    "function",
    [
        "os system",
        "posix system",
        "builtins eval",
        "builtins exec",
        "builtins getattr",
        "builtins __import__",
        "subprocess Popen",
        "functools partial",
        "torch.storage _load_from_bytes",
        "torch.hub load",
        "torch._utils _rebuild_tensor_v3",
        "torch QInt8Storage",
        "collections defaultdict",
        "wizardtpu_compile.checkpoint.torch_pickle _tensor",
    ],
)
def test_names_what_a_pickle_asks_for(tmp_path: Path, function: str) -> None:
    write_contents(tmp_path, pickled_items({"weight": call(function, "echo")}))
    refused(tmp_path, function.replace(" ", "."))


ODICT = call("collections OrderedDict")
TENSOR = rebuilt(VIEW)
REBUILD = call("torch._utils _rebuild_tensor_v2")[:-2]  # the function alone, without arguments and REDUCE


@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(b"(ios\nsystem\n", id="INST"),
        pytest.param(b"(" + REBUILD[:-1] + b"o", id="OBJ"),
        pytest.param(ODICT + b")\x81", id="NEWOBJ"),
        pytest.param(b"\x82\x01", id="EXT1"),
        pytest.param(b"Ptext\n", id="PERSID"),
        pytest.param(b"\x8c\x02os\x8c\x06system\x93", id="STACK_GLOBAL"),
        pytest.param(TENSOR + b")R", id="calls a tensor"),
        pytest.param(ODICT + b")R", id="calls a dict"),
        pytest.param(b"ctorch\nHalfStorage\n)R", id="calls a type"),
        pytest.param(REBUILD[:-1] + b"N}X\x08\0\0\0__code__Ns\x86b", id="attributes of a function"),
        pytest.param(TENSOR + b"}b", id="attributes of a tensor"),
        pytest.param(ODICT + TENSOR + b"Ns", id="a tensor as a key"),
        pytest.param(ODICT + b"Q", id="a dict as a storage"),
        pytest.param(b"X\x05\0\0\0abcdeQ", id="a text as a storage"),
        pytest.param(call("torch._utils _rebuild_parameter", 1), id="a number as a parameter"),
        pytest.param(call("torch._utils _rebuild_tensor_v2", 1, 0, (1,), (1,)), id="a number as elements"),
        pytest.param(call("torch._utils _rebuild_tensor_v2"), id="no arguments"),
        pytest.param(rebuilt(VIEW, b"}X\x03\0\0\0neg\x88s"), id="negated"),
        pytest.param(b"\x87" * 100, id="pops too much"),
        pytest.param(b"h\x05", id="remembers what was not said"),
        pytest.param(b"X\xff\xff\xff\xff", id="a text of 4 GB"),
        pytest.param(b"\x8d" + b"\xff" * 8, id="a text of 16 EB"),
        pytest.param(b"\x8b\xff\xff\xff\x7f", id="a number of 2 GB"),
        pytest.param(b"I" + b"9" * 5000 + b"\n", id="a number of 5000 digits"),
        pytest.param(b"X\x02\0\0\0\xff\xff", id="no UTF-8"),
        pytest.param(b"(" * 100_000 + b"t" * 100_000, id="deeply nested"),
        pytest.param(b"})q\x01" + b"h\x01\x86q\x01" * 60 + b"Ns", id="a key that takes for ever to hash"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_refuses_other_instructions(tmp_path: Path, instructions: bytes) -> None:
    write_contents(tmp_path, pickled_items({"weight": instructions}))
    refused(tmp_path)


def test_a_high_number_in_the_memo_takes_no_memory(tmp_path: Path) -> None:
    write_contents(tmp_path, pickled_items({"weight": TENSOR + b"r\xff\xff\xff\xff"}))
    np.testing.assert_array_equal(read(tmp_path), ELEMENTS.reshape(3, 4))


def test_refuses_a_table_of_contents_that_is_too_large(tmp_path: Path) -> None:
    write_contents(tmp_path, b"}0" * (5 << 20) + pickled({"weight": VIEW}))
    refused(tmp_path, "data.pkl", "larger")


@pytest.mark.parametrize("contents", [b"\x80\x02].", b"\x80\x02K\x01.", pickled_items({"model": ODICT})])
def test_refuses_what_does_not_hold_tensors_by_name(tmp_path: Path, contents: bytes) -> None:
    write_contents(tmp_path, contents)
    refused(tmp_path, "does not hold tensors by name")


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (View("float16", "0", 12, (4, 4), (4, 1)), ["weight", "beyond", "data/0"]),
        (View("float16", "0", 12, (3, 4), (4, 1), offset=1), ["weight", "beyond", "data/0"]),
        (View("float16", "0", 12, (3, 4), (5, 1)), ["weight", "beyond", "data/0"]),
        (View("float16", "0", 12, (1 << 62, 1 << 62), (1 << 62, 1)), ["weight", "beyond", "data/0"]),
        (View("float16", "0", 16, (4, 4), (4, 1)), ["weight", "data/0"]),
        (View("float32", "0", 12, (3, 4), (4, 1)), ["weight", "data/0"]),
        (View("float16", "1", 12, (3, 4), (4, 1)), ["weight", "missing", "data/1"]),
        (View("float16", "0", 12, (3, 4), (-4, 1)), ["damaged"]),
        (View("float16", "0", 12, (-3, 4), (4, 1)), ["damaged"]),
        (View("float16", "0", 12, (3, 4), (4, 1), offset=-1), ["damaged"]),
        (View("float16", "0", 12, (3, 4), (1,)), ["damaged"]),
        (View("int64", "0", 3, (3,), (1,)), ["weight", "int64", "bfloat16"]),
    ],
)
def test_refuses_a_tensor_that_is_not_all_there(tmp_path: Path, view: View, words: list[str]) -> None:
    write_view(tmp_path, view)
    refused(tmp_path, *words)


def test_refuses_big_endian_numbers(tmp_path: Path) -> None:
    write_contents(tmp_path, pickled({"weight": VIEW}), byteorder=b"big")
    refused(tmp_path, "little-endian")


def test_refuses_compressed_entries(tmp_path: Path) -> None:
    write_contents(tmp_path, pickled({"weight": VIEW}), compression=ZIP_DEFLATED)
    refused(tmp_path, "archive/byteorder", "compressed")


def test_refuses_compressed_elements(tmp_path: Path) -> None:
    with ZipFile(tmp_path / NAME, "w") as archive:
        archive.writestr("archive/data.pkl", pickled({"weight": VIEW}))
        archive.writestr("archive/data/0", ELEMENTS.tobytes(), ZIP_DEFLATED)
    refused(tmp_path, "archive/data/0", "compressed")


@pytest.mark.parametrize("entries", [["archive/data.pkl", "other/data.pkl"], ["archive/data/0", "other/data/0"]])
def test_refuses_an_entry_that_is_there_twice(tmp_path: Path, entries: list[str]) -> None:
    with ZipFile(tmp_path / NAME, "w") as archive:
        for entry in entries:
            archive.writestr(entry, b"")
    refused(tmp_path, "two entries")


def test_refuses_a_zip_without_a_table_of_contents(tmp_path: Path) -> None:
    with ZipFile(tmp_path / NAME, "w") as archive:
        archive.writestr("archive/data/0", ELEMENTS.tobytes())
    refused(tmp_path, "data.pkl")


def test_says_how_to_convert_the_form_before_torch_1_6(tmp_path: Path) -> None:
    magic_number, version = 0x1950A86A20F9469CFC6C, 1001
    (tmp_path / NAME).write_bytes(pickle.dumps(magic_number, 2) + pickle.dumps(version, 2))
    refused(tmp_path, "1.6", "torch.save(torch.load(path, weights_only=True), path)")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"\x80\x02}.", b"<html>"])
def test_refuses_files_of_other_kinds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    refused(tmp_path, "not a whole torch checkpoint")


def test_refuses_a_file_cut_off_anywhere(tmp_path: Path) -> None:
    write_view(tmp_path, VIEW)
    whole = (tmp_path / NAME).read_bytes()
    for size in range(0, len(whole), 13):
        (tmp_path / NAME).write_bytes(whole[:size])
        refused(tmp_path, "not a whole torch checkpoint")


def test_refuses_an_entry_that_is_longer_than_the_file(tmp_path: Path) -> None:
    """Only the directory at the end tells of entry 0: 12 million elements."""
    write_contents(tmp_path, pickled({"weight": View("float16", "0", 12_000_000, (12_000_000,), (1,))}))
    path = tmp_path / NAME
    sizes = struct.pack("<II", ELEMENTS.nbytes, ELEMENTS.nbytes)
    head, tail = path.read_bytes().rsplit(sizes, 1)
    path.write_bytes(head + struct.pack("<II", 24_000_000, 24_000_000) + tail)
    refused(tmp_path, "weight")


def test_whatever_is_damaged_is_refused_as_such(tmp_path: Path) -> None:
    """Never another error: any byte may be wrong, or be missing."""
    write_view(tmp_path, VIEW)
    whole = (tmp_path / NAME).read_bytes()
    outcomes = [_read_or_refuse(tmp_path, damaged) for damaged in _damaged(whole, random.Random(0), 1500)]
    assert set(outcomes) == {True, False}


def _damaged(whole: bytes, chance: random.Random, count: int) -> Iterable[bytes]:
    for _ in range(count):
        copy, place = bytearray(whole), chance.randrange(len(whole))
        copy[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        yield bytes(copy)


def _read_or_refuse(directory: Path, content: bytes) -> bool:
    (directory / NAME).write_bytes(content)
    try:
        read(directory)
    except (CheckpointError, KeyError):  # KeyError: it is the name "weight" that was damaged
        return False
    return True
