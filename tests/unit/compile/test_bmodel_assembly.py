"""A bmodel that grows: what is shared, what is refused, and what is left when the process ends."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from wizardtpu_compile.bmodel import sections
from wizardtpu_compile.bmodel.assembly import ROOM, Assembly, Finished
from wizardtpud.errors import BmodelError
from wizardtpud.model.bmodel.header import ALIGNMENT
from wizardtpud.model.bmodel.reading import binaries, read_contents, read_model

from tests.support.tiny_bmodel import KERNEL, TinyNet, write_tiny_bmodel

SMALL = 1 << 16  # room for the description

Parts = Callable[[int], list[Path]]


def layer_weights(layer: int) -> bytes:
    return f"weights of layer {layer} ".encode() * 2000


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """The files of a layer: two shapes with the same weights; instructions are the same in all layers."""

    def make(layer: int) -> list[Path]:
        paths = []
        for tokens in (1, 8):
            net = TinyNet(
                f"block_{layer}_t{tokens}",
                weights=layer_weights(layer),
                instructions=b"%d tokens" % tokens * 500,
                scratch=4096 * tokens,
                inputs={"x": (1, tokens, 6)},
            )
            paths.append(write_tiny_bmodel(tmp_path / f"layer{layer}_t{tokens}.bmodel", [net]))
        return paths

    return make


def assemble(path: Path, parts: Parts, layers: int) -> Finished:
    assembly = Assembly.open(path, SMALL)
    for layer in range(layers):
        assembly.add(f"layer {layer}", parts(layer))
    return assembly.finish()


def contents_by_network(path: Path) -> dict[str, tuple[object, list[bytes]]]:
    """Everything that is said of each network, with the bytes its binaries have."""
    contents, content = read_contents(path), path.read_bytes()
    found: dict[str, tuple[object, list[bytes]]] = {}
    for net in contents.description.net:
        data = []
        for binary in binaries(net):
            begin = contents.header.start + binary.start
            data.append(content[begin : begin + binary.size])
            binary.start = 0
        found[net.name] = (net, data)
    return found


def test_all_networks_are_in_the_file_unchanged(tmp_path: Path, parts: Parts) -> None:
    finished = assemble(tmp_path / "all", parts, 3)
    expected: dict[str, tuple[object, list[bytes]]] = {}
    for layer in range(3):
        for part in parts(layer):
            expected |= contents_by_network(part)
    assert contents_by_network(tmp_path / "all") == expected
    assert (finished.size, finished.sha256) == ((tmp_path / "all").stat().st_size, sha256(tmp_path / "all"))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return sections.digest(file, 0, path.stat().st_size)


def test_equal_binaries_are_stored_once(tmp_path: Path, parts: Parts) -> None:
    path = tmp_path / "all"
    assemble(path, parts, 3)
    content = path.read_bytes()
    assert content.count(KERNEL) == 1
    assert content.count(b"8 tokens" * 250) == 1, "the same for both engines in all layers"
    assert [content.count(layer_weights(layer)) for layer in range(3)] == [1, 1, 1]
    stored = {(binary.start, binary.size) for binary in binaries(read_contents(path).description)}
    assert len(stored - {(0, 0)}) == 1 + 2 + 3


def test_binaries_begin_at_pages(tmp_path: Path, parts: Parts) -> None:
    assemble(tmp_path / "all", parts, 1)
    contents = read_contents(tmp_path / "all")
    assert contents.header.start == SMALL
    assert {binary.start % ALIGNMENT for binary in binaries(contents.description)} == {0}


def test_the_network_with_the_largest_scratch_memory_comes_first(tmp_path: Path, parts: Parts) -> None:
    assemble(tmp_path / "all", parts, 2)
    description = read_contents(tmp_path / "all").description
    assert [net.name for net in description.net] == ["block_0_t8", "block_0_t1", "block_1_t1", "block_1_t8"]
    assert description.neuron_size == 8 * 4096


def test_the_parts_of_a_divided_network_stay_together(tmp_path: Path) -> None:
    nets = [TinyNet("a", scratch=1)]
    nets += [TinyNet(f"b_{i}", main_name="b", device=i, scratch=2 + i) for i in (0, 1)]
    part = write_tiny_bmodel(tmp_path / "part", nets, devices=2)
    assembly = Assembly.open(tmp_path / "all", SMALL)
    assembly.add("key", [part])
    assembly.finish()
    model = read_model(tmp_path / "all")
    assert [net.name for net in model.nets] == ["b_0", "b_1", "a"]
    assert model.devices == 2


def test_the_same_parts_make_the_same_file(tmp_path: Path, parts: Parts) -> None:
    assert assemble(tmp_path / "one", parts, 2) == assemble(tmp_path / "two", parts, 2)


def test_it_goes_on_after_it_was_finished(tmp_path: Path, parts: Parts) -> None:
    expected = assemble(tmp_path / "straight", parts, 3)
    assemble(tmp_path / "all", parts, 2)
    assembly = Assembly.open(tmp_path / "all")
    assert assembly.keys == ("layer 0", "layer 1")
    assembly.add("layer 2", parts(2))
    with pytest.raises(BmodelError, match="not finished"):
        read_model(tmp_path / "all")
    assert assembly.finish() == expected


def test_retain_drops_what_came_after_what_it_drops(tmp_path: Path, parts: Parts) -> None:
    expected = assemble(tmp_path / "straight", parts, 1)
    assemble(tmp_path / "all", parts, 3)
    assembly = Assembly.open(tmp_path / "all")
    assembly.retain({"layer 0", "layer 1", "layer 2", "another"})
    assert list(assembly.keys) == ["layer 0", "layer 1", "layer 2"]
    assembly.retain({"layer 0", "layer 2"})
    assert list(assembly.keys) == ["layer 0"]
    assert not assembly.contains("layer 2")
    assert Assembly.open(tmp_path / "all").keys == ("layer 0",)
    assert assembly.finish() == expected


def test_nothing_is_left_if_nothing_is_retained(tmp_path: Path, parts: Parts) -> None:
    expected = assemble(tmp_path / "straight", parts, 2)
    assemble(tmp_path / "all", parts, 3)
    assembly = Assembly.open(tmp_path / "all")
    assembly.retain(())
    assert (tmp_path / "all").stat().st_size == 0
    with pytest.raises(BmodelError, match="no networks"):
        assembly.finish()
    for layer in range(2):
        assembly.add(f"layer {layer}", parts(layer))
    assert assembly.finish() == expected


def test_what_was_linked_to_the_finished_file_stays_as_it_is(tmp_path: Path, parts: Parts) -> None:
    expected = assemble(tmp_path / "straight", parts, 1)
    finished = assemble(tmp_path / "all", parts, 2)
    (tmp_path / "bundle").hardlink_to(tmp_path / "all")
    assembly = Assembly.open(tmp_path / "all")
    assert assembly.finish() == finished
    assembly.retain({"layer 0"})
    assert sha256(tmp_path / "bundle") == finished.sha256
    assert assembly.finish() == expected
    assert sha256(tmp_path / "bundle") == finished.sha256


def refuse(tmp_path: Path, parts: Parts, added: list[Path], message: str) -> None:
    """Adding fails, and the file goes on as if nothing had been."""
    expected = assemble(tmp_path / "straight", parts, 2)
    assembly = Assembly.open(tmp_path / "all", SMALL)
    assembly.add("layer 0", parts(0))
    size = assembly.path.stat().st_size
    with pytest.raises(BmodelError, match=message):
        assembly.add("wrong", added)
    assert assembly.path.stat().st_size == size
    assert Assembly.open(tmp_path / "all").keys == ("layer 0",)
    assembly.add("layer 1", parts(1))
    assert assembly.finish() == expected


def test_a_name_that_is_taken_is_refused(tmp_path: Path, parts: Parts) -> None:
    refuse(tmp_path, parts, [*parts(1), parts(0)[1]], "has a network block_0_t8 already")


def test_two_parts_with_one_name_are_refused(tmp_path: Path, parts: Parts) -> None:
    refuse(tmp_path, parts, [parts(2)[0], parts(2)[0]], "has a network block_2_t1 already")


def test_a_part_with_one_name_twice_is_refused(tmp_path: Path, parts: Parts) -> None:
    twice = write_tiny_bmodel(tmp_path / "twice", [TinyNet("x"), TinyNet("x")])
    refuse(tmp_path, parts, [twice], "two of its networks have one name")


@pytest.mark.parametrize(
    ("difference", "message"),
    [
        ({"chip": "BM1688"}, "its chip is not"),
        ({"version": "2.3"}, "its version is not"),
        ({"devices": 2}, "its device_num is not"),
        ({"kernel": b"another kernel"}, "its kernel_module is not"),
    ],
)
def test_a_part_of_another_kind_is_refused(
    tmp_path: Path, parts: Parts, difference: dict[str, str], message: str
) -> None:
    other = write_tiny_bmodel(tmp_path / "other", [TinyNet("x")], **difference)  # type: ignore[arg-type]
    refuse(tmp_path, parts, [other], message)


def test_damaged_weights_are_refused(tmp_path: Path, parts: Parts) -> None:
    (damaged, _) = parts(2)
    content = damaged.read_bytes()
    damaged.write_bytes(content.replace(b"weights of layer 2 ", b"weights of layer X ", 1))
    refuse(tmp_path, parts, [damaged], "not those of its check code")


def test_a_truncated_part_is_refused(tmp_path: Path, parts: Parts) -> None:
    (cut, _) = parts(2)
    cut.write_bytes(cut.read_bytes()[:-1])
    refuse(tmp_path, parts, [cut], "truncated")


def test_a_key_is_added_once(tmp_path: Path, parts: Parts) -> None:
    assembly = Assembly.open(tmp_path / "all", SMALL)
    assembly.add("key", parts(0))
    with pytest.raises(BmodelError, match="has key already"):
        assembly.add("key", parts(1))


def test_a_file_without_a_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "all").write_bytes(b"precious")
    with pytest.raises(BmodelError, match="not under construction"):
        Assembly.open(tmp_path / "all")
    assert (tmp_path / "all").read_bytes() == b"precious"


def test_too_little_room_is_told_before_it_is_too_late(tmp_path: Path, parts: Parts) -> None:
    assembly = Assembly.open(tmp_path / "all", ALIGNMENT)
    assembly.add("layer 0", parts(0))
    with pytest.raises(BmodelError, match="begin it anew with more room"):
        for layer in range(1, 9):
            assembly.add(f"layer {layer}", parts(layer))
    assert assembly.finish().size == assembly.path.stat().st_size


def test_a_journal_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.journal").write_bytes(b'%08x {"x":1}\n' % zlib.crc32(b'{"x":1}'))
    with pytest.raises(BmodelError, match="of another version"):
        Assembly.open(tmp_path / "all")


def test_the_description_of_a_large_model_fits(tmp_path: Path) -> None:
    """40 layers of 6 shapes with heads and embeddings, whose names are as long as real ones."""
    names = [f"block_{layer}_b8_t{tokens}_s8192" for layer in range(40) for tokens in range(7)]
    shapes = dict.fromkeys(("hidden_states", "attention_mask", "history_k", "history_v"), (1, 1, 6))
    nets = [TinyNet(name, b"w", b"instructions", inputs=shapes, outputs=shapes) for name in names]
    part = write_tiny_bmodel(tmp_path / "part", nets)
    assert read_contents(part).header.start < ROOM / 2


class TestInterruption:
    """Whatever was not whole is gone, and the rest is as if nothing had happened."""

    @pytest.fixture
    def whole(self, tmp_path: Path, parts: Parts) -> Finished:
        return assemble(tmp_path / "whole", parts, 3)

    def resume(self, path: Path, parts: Parts) -> Finished:
        assembly = Assembly.open(path, SMALL)
        assert list(assembly.keys) == [f"layer {layer}" for layer in range(len(assembly.keys))]
        for layer in range(len(assembly.keys), 3):
            assembly.add(f"layer {layer}", parts(layer))
        return assembly.finish()

    def test_at_any_byte_of_the_journal(self, tmp_path: Path, parts: Parts, whole: Finished) -> None:
        journal = (tmp_path / "whole.journal").read_bytes()
        ends = [index + 1 for index, byte in enumerate(journal) if byte == ord("\n")]
        around = {end + offset for end in ends for offset in (-1, 0, 1)}
        cuts = {0, *range(1, len(journal), 211), *around}
        for cut in sorted(cuts):
            path = tmp_path / "cut"
            shutil.copy(tmp_path / "whole", path)
            (tmp_path / "cut.journal").write_bytes(journal[:cut])
            assert len(Assembly.open(path, SMALL).keys) == sum(end <= cut for end in ends)
            if cut in ends or cut - 1 in ends or not cut:
                self.resume(path, parts)
                assert sha256(path) == whole.sha256

    def test_a_journal_with_a_hole_counts_to_the_hole(self, tmp_path: Path, parts: Parts, whole: Finished) -> None:
        journal = bytearray((tmp_path / "whole.journal").read_bytes())
        second = journal.index(b"\n") + 1
        journal[second + 100 : second + 200] = bytes(100)
        (tmp_path / "whole.journal").write_bytes(journal)
        assert Assembly.open(tmp_path / "whole").keys == ("layer 0",)
        assert self.resume(tmp_path / "whole", parts) == whole

    @pytest.mark.parametrize("lost", [1, 5000, 60_000, 10_000_000])
    def test_a_file_that_lost_its_end(self, tmp_path: Path, parts: Parts, whole: Finished, lost: int) -> None:
        with (tmp_path / "whole").open("r+b") as file:
            file.truncate(max(0, whole.size - lost))
        assert self.resume(tmp_path / "whole", parts) == whole

    def test_a_file_that_is_gone(self, tmp_path: Path, parts: Parts, whole: Finished) -> None:
        (tmp_path / "whole").unlink()
        assert Assembly.open(tmp_path / "whole", SMALL).keys == ()
        (tmp_path / "whole").unlink()
        (tmp_path / "whole.journal").unlink()
        assert assemble(tmp_path / "whole", parts, 3) == whole

    @pytest.mark.parametrize("added", range(4))
    def test_a_killed_process(self, tmp_path: Path, parts: Parts, whole: Finished, added: int) -> None:
        paths = [[str(path) for path in parts(layer)] for layer in range(3)]
        with subprocess.Popen(
            [sys.executable, "-c", ADDING, str(tmp_path / "killed"), repr(paths), str(SMALL)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                for _ in range(added + 1):
                    assert process.stdout.readline()
            finally:
                process.send_signal(signal.SIGKILL)
        assert len(Assembly.open(tmp_path / "killed", SMALL).keys) >= added
        assert self.resume(tmp_path / "killed", parts) == whole

    def test_a_full_disk(self, tmp_path: Path, parts: Parts, whole: Finished) -> None:
        """A limit on the size of files stands for the disk: it fails in the midst of a write as well."""
        paths = [[str(path) for path in parts(layer)] for layer in range(3)]
        outcome = subprocess.run(
            [sys.executable, "-c", FULL, str(tmp_path / "full"), repr(paths), str(SMALL)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.stderr == ""
        assert outcome.stdout.split() == ["failed", "failed", whole.sha256]


ADDING = """
import sys
from pathlib import Path
from wizardtpu_compile.bmodel.assembly import Assembly
assembly = Assembly.open(Path(sys.argv[1]), int(sys.argv[3]))
print("opened", flush=True)
for layer, paths in enumerate(eval(sys.argv[2])):
    assembly.add(f"layer {layer}", list(map(Path, paths)))
    print("added", flush=True)
assembly.finish()
"""

FULL = """
import resource, sys
from pathlib import Path
from wizardtpu_compile.bmodel.assembly import Assembly
assembly = Assembly.open(Path(sys.argv[1]), int(sys.argv[3]))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for layer, paths in enumerate(eval(sys.argv[2])):
    if layer:
        size = assembly.path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, hard))
        try:
            assembly.add(f"layer {layer}", list(map(Path, paths)))
        except OSError:
            print("failed")
        assert assembly.path.stat().st_size == size
        assert len(Assembly.open(assembly.path).keys) == layer
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assembly.add(f"layer {layer}", list(map(Path, paths)))
print(assembly.finish().sha256)
"""


def test_copying_goes_on_without_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems cannot copy between each other."""
    content = bytes(range(256)) * 10_000
    (tmp_path / "source").write_bytes(content)
    monkeypatch.setattr("os.copy_file_range", refuse_to_copy)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("w+b") as target:
        sections.copy(source, 5, target, 100, 2_000_000)
    assert (tmp_path / "target").read_bytes() == bytes(100) + content[5:2_000_005]


def refuse_to_copy(*_: object) -> int:
    raise OSError(errno.EXDEV, "cross-device link")
