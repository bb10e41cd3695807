"""A daemon that cannot serve says which file, key or address and why, in one line, and is gone."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from wizardtpu_compile.importing import ImportOptions, import_model
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.stage_progress import StageLines
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpud.model.foreign.model import ForeignModel

from tests.support import health
from tests.support.daemon_process import COMMAND, DaemonProcess, environment
from tests.support.eventually import PATIENCE
from tests.support.foreign_model import write_foreign_model
from tests.support.random_checkpoint import byte_level_tokenizer, write_random_checkpoint
from tests.support.tampering import MANIFEST, cut, edit_manifest, flip_bit, replace_file

BLOCK = "nets/block_0.onnx"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Case:
    """What is wrong, and what the message must name.

    Attributes:
        tamper: what is done to a good bundle before the start.
        arguments: of the command line, after a sound one.
        variables: of the environment.
        early: whether the daemon must find out before it listens anywhere.
    """

    named: tuple[str, ...]
    tamper: Callable[[Path], object] | None = None
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    early: bool = True


def _manifest(**values: object) -> Callable[[Path], None]:
    return lambda bundle: edit_manifest(bundle, lambda manifest: manifest.update(values))


def _name_outside(bundle: Path) -> None:
    path = bundle / MANIFEST
    path.write_text(path.read_text().replace(BLOCK, "../outside"))
    (bundle / BLOCK).rename(bundle.parent / "outside")


def _foreign(bundle: Path, **bmodel: Any) -> Path:
    """In place of the bundle a model for the chip, as others leave it."""
    shutil.rmtree(bundle)
    return write_foreign_model(bundle, **bmodel)


def _for_the_chip(bundle: Path) -> None:
    """In place of the bundle one for the chip."""
    model = ForeignModel.find(_foreign(bundle).rename(bundle.with_name("foreign")))
    import_model(model, bundle, ImportOptions(), StageLines())


def _instead(name: str | None, content: str) -> Callable[[Path], None]:
    """In place of the bundle a directory with one file in it, or a file itself."""

    def tamper(bundle: Path) -> None:
        shutil.rmtree(bundle)
        if name is not None:
            bundle.mkdir()
        (bundle / name if name else bundle).write_text(content)

    return tamper


def _mistokenized(bundle: Path) -> None:
    replace_file(bundle, TOKENIZER, byte_level_tokenizer(400).to_str().encode())


def _swapped(bundle: Path) -> None:
    replace_file(bundle, BLOCK, (bundle / "nets/lm_head.onnx").read_bytes())


def _config(text: str) -> Callable[[Path], object]:
    return lambda bundle: (bundle.parent / "config.toml").write_text(text)


BUNDLES = {
    "missing": Case(("bundle", "there is no"), shutil.rmtree),
    "a file": Case(("bundle", "directory"), _instead(None, "x")),
    "something else": Case((MANIFEST,), _instead("config.json", "{}")),
    "without tokenizer": Case((TOKENIZER,), lambda b: (b / TOKENIZER).unlink()),
    "without network": Case((BLOCK,), lambda b: (b / BLOCK).unlink()),
    "damaged network": Case((BLOCK, "sha256"), lambda b: flip_bit(b / BLOCK)),
    "truncated network": Case((BLOCK, "truncated"), lambda b: cut(b / BLOCK)),
    "stranger": Case(("nets/left_over.onnx",), lambda b: (b / "nets/left_over.onnx").write_bytes(b"")),
    "truncated manifest": Case((MANIFEST,), lambda b: cut(b / MANIFEST)),
    "newer format": Case((MANIFEST, "format 99", "newer daemon"), _manifest(format=99)),
    "unknown key": Case((MANIFEST, "colour"), _manifest(colour="blue")),
    "file outside": Case(("../outside",), _name_outside),
    "other target": Case(("no way to a chip", "--device simulator"), _for_the_chip),
    "no manifest, another chip": Case(("BM1688", "BM1684X"), lambda b: _foreign(b, chip="BM1688")),
    "no manifest, no tokenizer": Case((TOKENIZER,), lambda b: (_foreign(b) / "config" / TOKENIZER).unlink()),
    "template that is none": Case(("chat_template",), _manifest(chat_template="{% for %}")),
    "tokenizer that is none": Case((TOKENIZER,), lambda b: replace_file(b, TOKENIZER, b"{}")),
    "tokenizer of another size": Case((TOKENIZER, "399", "319"), _mistokenized),
    "network that is none": Case((BLOCK,), lambda b: replace_file(b, BLOCK, b"not a network"), early=False),
    "another network": Case((BLOCK,), _swapped, early=False),
}
SETTINGS = {
    "unknown flag": Case(("--lisen", "--listen"), arguments=("--lisen", "127.0.0.1:1")),
    "unknown variable": Case(
        ("WIZARDTPUD_QEUE_CAPACITY", "WIZARDTPUD_QUEUE_CAPACITY"), variables={"WIZARDTPUD_QEUE_CAPACITY": "9"}
    ),
    "unknown key of the file": Case(
        ("config.toml", "log_levle", "log_level"), _config('log_levle = "info"'), ("--config", "config.toml")
    ),
    "file that is none": Case(("config.toml", "TOML"), _config("bundle: x"), ("--config", "config.toml")),
    "number out of range": Case(("queue_capacity", "0"), arguments=("--queue-capacity", "0")),
    "unknown device": Case(("device", "tpu", "cpu"), arguments=("--device", "tpu")),
    "address of another machine": Case(("192.0.2.1:1",), arguments=("--listen", "192.0.2.1:1"), early=False),
    "socket in no directory": Case(("unix:/nowhere/s",), arguments=("--listen", "unix:/nowhere/s"), early=False),
    "socket with a colon": Case(("unix:/nowhere/a:b",), arguments=("--listen", "unix:/nowhere/a:b"), early=False),
    "metrics of another machine": Case(("metrics", "192.0.2.1"), arguments=("--metrics", "192.0.2.1:1")),
}
CASES = BUNDLES | SETTINGS


@dataclass(frozen=True)
class End:
    """How a process ended."""

    code: int
    output: str
    errors: list[str]


def _run(bundle: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> End:
    run = subprocess.run(
        [*COMMAND, "--bundle", str(bundle), "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=bundle.parent,
        env=environment(**(variables or {})),
        check=False,
    )
    return End(run.returncode, run.stdout, run.stderr.splitlines())


def _assert_failed(end: End, *named: str, early: bool) -> None:
    """It ended with 1 and one line that names what is to be named, after nothing but information."""
    assert end.code == 1, end
    assert end.output == ""
    *before, line = end.errors
    assert line.startswith("wizardtpud: ")
    for name in named:
        assert name in line
    assert all(" INFO " in other for other in before)
    assert not (early and before)


@pytest.fixture(scope="module")
def good_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("good")
    checkpoint = write_random_checkpoint(directory / "checkpoint")
    build_cpu_bundle(checkpoint, directory / "bundle", CpuOptions())
    return directory / "bundle"


@pytest.fixture(scope="module")
def ends(good_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, End]:
    """How the daemon ended in each case. They run side by side: each spends its time on imports."""

    def run(case: Case) -> End:
        bundle = tmp_path_factory.mktemp("case") / "bundle"
        shutil.copytree(good_bundle, bundle)
        if case.tamper is not None:
            case.tamper(bundle)
        return _run(bundle, *case.arguments, variables=case.variables)

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(CASES, threads.map(run, CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_says_what_is_wrong(ends: Mapping[str, End], name: str) -> None:
    _assert_failed(ends[name], *CASES[name].named, early=CASES[name].early)


@pytest.fixture
def taken() -> Iterator[str]:
    """An address where somebody else listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def test_port_in_use(good_bundle: Path, taken: str) -> None:
    _assert_failed(_run(good_bundle, "--listen", taken), "listen", taken, "in use", early=False)


def test_metrics_port_in_use(good_bundle: Path, taken: str) -> None:
    _assert_failed(_run(good_bundle, "--metrics", taken), "metrics", taken.split(":")[1], "in use", early=True)


def test_second_daemon_at_the_same_place(good_bundle: Path, tmp_path: Path) -> None:
    """The first one keeps its port and its socket, and serves on."""
    with DaemonProcess(good_bundle, tmp_path, listen=("127.0.0.1:0", f"unix:{tmp_path}/socket")) as first:
        for address in first.addresses:
            _assert_failed(_run(good_bundle, "--listen", address), "listen", address, "in use", early=False)
        for address in first.addresses:
            assert health.check(first.channel(address=address)) == "SERVING"


def test_socket_of_a_process_too_busy_to_accept(good_bundle: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with closing(socket.socket(socket.AF_UNIX)) as busy, closing(socket.socket(socket.AF_UNIX)) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        _assert_failed(_run(good_bundle, "--listen", f"unix:{path}"), "listen", path, "in use", early=False)


def test_nothing_is_left_listening(good_bundle: Path, tmp_path: Path) -> None:
    """Of several addresses one cannot be had: the others are given back."""
    path = tmp_path / "socket"
    end = _run(good_bundle, "--listen", f"unix:{path}", "--listen", "192.0.2.1:1")
    _assert_failed(end, "192.0.2.1:1", early=False)
    with closing(socket.socket(socket.AF_UNIX)) as probe, pytest.raises(OSError, match=r"No such file|refused"):
        probe.connect(str(path))
    with DaemonProcess(good_bundle, tmp_path, listen=(f"unix:{path}",)) as daemon:
        assert daemon.status().slots == 1


def test_a_file_is_not_overwritten_by_a_socket(good_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    _assert_failed(_run(good_bundle, "--listen", f"unix:{path}"), "listen", str(path), early=False)
    assert path.read_text() == "data"


@pytest.mark.parametrize(("flag", "expected"), [("--help", "--listen"), ("--version", "wizardtpud 0.")])
def test_what_a_person_may_ask_first(tmp_path: Path, flag: str, expected: str) -> None:
    run = subprocess.run(
        [*COMMAND, flag], capture_output=True, text=True, cwd=tmp_path, timeout=PATIENCE, check=True
    )
    assert expected in run.stdout
    assert run.stderr == ""
