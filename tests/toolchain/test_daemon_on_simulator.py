"""The whole daemon on the simulated chip: its answers, and what it does when the chip does not do its part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.emit.tpu import rounded
from wizardtpu_compile.network.gpt_bigcode import networks
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle
from wizardtpu_compile.targets.tpu.build import build_tpu_bundle
from wizardtpu_compile.toolchain.toolchain import Toolchain
from wizardtpu_compile.verification.agreement import agreement, next_logits
from wizardtpud.device.choice import DeviceKind
from wizardtpud.model.bundle import Bundle

from tests.support import health
from tests.support.conversation import read_until
from tests.support.daemon_process import DaemonProcess
from tests.support.eventually import eventually
from tests.support.failure import Failure
from tests.support.faulty_bmrt import make_faulty_library
from tests.support.refused_daemon import refused
from tests.support.sail import standin_environment
from tests.support.simulated_daemon import answer_ids, simulated_daemon
from tests.support.tampering import cut, edit_manifest, flip_bit, replace_file
from tests.support.tpu_checkpoint import few_shapes

MODEL = "model.bmodel"
TIE = 0.02  # what activations of 16 bits do not tell apart: logits are around 3 here
RESERVED = 81 << 20  # bytes of a simulated device that cannot be had
MEMORY = (256 << 20) - RESERVED  # bytes that can be had of 256 MiB
CHATTER = "the device's library says"
PROMPTS = [[26, 83, 209], [5], [*range(40, 60)]]  # within a step, of one token, and of several steps


@pytest.fixture(scope="module")
def bundle(toolchain: Toolchain, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chip") / "bundle"
    build_tpu_bundle(checkpoint, directory, few_shapes(quantize="f16"), toolchain.directory)
    return directory


@pytest.fixture(scope="module")
def answers(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """Of the same model on the CPU."""
    directory = tmp_path_factory.mktemp("cpu")
    build_cpu_bundle(checkpoint, directory / "bundle", CpuOptions(context=32))
    with DaemonProcess(directory / "bundle", directory) as daemon:
        found = [answer_ids(daemon, prompt, 4) for prompt in PROMPTS]
    assert len({token for answer in found for token in answer}) > len(PROMPTS)  # no mere repetition
    return found


@pytest.mark.parametrize("kind", ["simulator", "bmrt", "sail"])
def test_answers_are_those_of_the_cpu(
    bundle: Path, answers: list[list[int]], toolchain: Toolchain, tmp_path: Path, kind: DeviceKind
) -> None:
    with simulated_daemon(bundle, tmp_path, toolchain.simulator, kind) as daemon:
        assert daemon.records("device")[0]["kind"] == kind
        assert [answer_ids(daemon, prompt, 4) for prompt in PROMPTS] == answers
        devices = daemon.status().devices
        assert [device.device for device in devices] == [0]


@pytest.mark.parametrize(("precision", "kind"), [("int8", "sail"), ("int4", "bmrt")])
def test_answers_of_quantized_weights_are_those_that_verify_expects(
    checkpoint: Path, toolchain: Toolchain, tmp_path: Path, precision: Literal["int8", "int4"], kind: DeviceKind
) -> None:
    """Those of the reference with the same rounded weights; but for ties."""
    options = few_shapes(quantize=precision)
    build_tpu_bundle(checkpoint, tmp_path / "bundle", options, toolchain.directory)
    with simulated_daemon(tmp_path / "bundle", tmp_path, toolchain.simulator, kind) as daemon:
        found = [answer_ids(daemon, prompt, 4) for prompt in PROMPTS]
    said = [prompt + answer for prompt, answer in zip(PROMPTS, found, strict=True)]
    model = networks(Checkpoint.open(checkpoint))
    logits = next_logits(model, said, lambda network: rounded(options.weight_format(network.role)))
    seen = agreement(PROMPTS, found, logits)
    assert seen.tokens == 12
    assert seen.equal >= 11
    assert seen.largest_margin < TIE


def test_copies_on_two_devices_work_at_once(
    bundle: Path, answers: list[list[int]], toolchain: Toolchain, tmp_path: Path
) -> None:
    options = ("--devices", "0 1")
    with simulated_daemon(bundle, tmp_path, toolchain.simulator, "auto", *options, devices=2) as daemon:
        (device,) = daemon.records("device")
        assert (device["kind"], device["because"]) == ("sail", "sophon-sail is installed, and sees 2 devices")
        with ThreadPoolExecutor(2) as clients:
            found = clients.map(lambda prompt: answer_ids(daemon, prompt, 4), PROMPTS[:2])
            daemon.wait_until_running(2)
            assert list(found) == answers[:2]
        assert sorted(device.device for device in daemon.status().devices) == [0, 1]


class TestWithoutAnAnswer:
    """A daemon that cannot serve says in one line why, and ends."""

    @pytest.fixture
    def copied(self, bundle: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(bundle, tmp_path / "bundle"))

    def test_a_bmodel_with_a_flipped_bit(self, copied: Path) -> None:
        flip_bit(copied / MODEL)
        assert f"{MODEL} is damaged: its sha256 is not the manifest's" in refused(copied)

    def test_a_truncated_bmodel(self, copied: Path) -> None:
        cut(copied / MODEL)
        assert f"{MODEL} is truncated" in refused(copied)

    def test_a_truncated_bmodel_that_the_manifest_vouches_for(self, copied: Path, toolchain: Toolchain) -> None:
        replace_file(copied, MODEL, (copied / MODEL).read_bytes()[:-5000])
        line = refused(copied, "--device", "simulator", "--library", str(toolchain.simulator))
        assert "bytes instead of" in line

    def test_a_network_that_is_missing(self, copied: Path) -> None:
        def rename(manifest: Any) -> None:
            next(n for n in manifest["networks"] if n["role"] == "lm_head")["name"] = "lm_head_b7"

        edit_manifest(copied, rename)
        assert "it has no network lm_head_b7; rebuild the bundle" in refused(copied)

    @pytest.mark.parametrize(
        ("taken", "what"),
        [(MEMORY + 1, f"{MODEL} takes 183.5 MB and 183.5 MB are free"), (MEMORY - 10**6, "a tensor")],
    )
    def test_too_little_device_memory(self, copied: Path, toolchain: Toolchain, taken: int, what: str) -> None:
        """For the model itself, or for what comes beside it."""
        edit_manifest(copied, lambda manifest: manifest.update(device_bytes=taken))
        line = refused(
            copied,
            *("--device", "simulator", "--library", str(toolchain.simulator), "--slots", "1000"),
            CMODEL_GLOBAL_MEM_SIZE="0x10000000",
        )
        assert f"device 0 is out of memory: {what}" in line
        assert "use fewer slots" in line

    def test_scratch_memory_that_sail_does_not_share(
        self, bundle: Path, toolchain: Toolchain, tmp_path: Path
    ) -> None:
        """A little less than all stages take: far more than the largest, which is what libbmrt needs."""
        room = {"CMODEL_GLOBAL_MEM_SIZE": hex(RESERVED + Bundle.open(bundle).unshared_device_bytes - 1)}
        with simulated_daemon(bundle, tmp_path, toolchain.simulator, variables=room) as daemon:
            assert answer_ids(daemon, [5], 1)
        where = ("--device", "sail", "--lock-directory", str(tmp_path))
        line = refused(bundle, *where, **standin_environment(toolchain.simulator), **room)
        assert f"device 0 is out of memory: {MODEL} takes" in line

    def test_a_device_that_is_not_there(self, bundle: Path, toolchain: Toolchain, tmp_path: Path) -> None:
        where = ("--library", str(toolchain.simulator), "--lock-directory", str(tmp_path), "--devices", "1")
        line = refused(bundle, "--device", "bmrt", *where)
        assert "there is no device 1; this machine has 1, counted from 0" in line

    def test_devices_that_the_bundle_is_not_for(self, bundle: Path, toolchain: Toolchain, tmp_path: Path) -> None:
        line = refused(
            bundle,
            *("--device", "sail", "--lock-directory", str(tmp_path), "--devices", "0,1"),
            **standin_environment(toolchain.simulator),
        )
        assert "is for 1 device and was given 2 devices (0, 1)" in line

    def test_a_machine_without_a_chip(self, bundle: Path) -> None:
        assert "no way to a chip: " in refused(bundle)


class TestOwning:
    def test_a_second_daemon_is_told_who_has_the_device(
        self, bundle: Path, toolchain: Toolchain, tmp_path: Path
    ) -> None:
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
        locks = ("--lock-directory", str(tmp_path))
        with simulated_daemon(bundle, tmp_path / "first", toolchain.simulator, "bmrt", *locks) as first:
            second = simulated_daemon(bundle, tmp_path / "second", toolchain.simulator, "bmrt", *locks)
            assert second.wait() == 1
            assert f"device 0 is in use by process {first.pid} (wizardtpud, since " in second.stderr
            assert answer_ids(first, [5], 1)

    def test_a_killed_daemon_can_be_started_again(
        self, bundle: Path, answers: list[list[int]], toolchain: Toolchain, tmp_path: Path
    ) -> None:
        with simulated_daemon(bundle, tmp_path, toolchain.simulator, "bmrt") as daemon:
            call = daemon.stub.Generate(wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5])))
            read_until(call, "delta")
            daemon.kill()
        with simulated_daemon(bundle, tmp_path, toolchain.simulator, "bmrt") as daemon:
            assert answer_ids(daemon, PROMPTS[1], 2) == answers[1][:2]


class TestLaunches:
    """That go wrong on the way."""

    @pytest.fixture
    def fault(self, tmp_path: Path) -> Path:
        """The file that says what launches do."""
        return tmp_path / "fault"

    @pytest.fixture
    def daemon(
        self, bundle: Path, toolchain: Toolchain, tmp_path: Path, fault: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[DaemonProcess]:
        monkeypatch.setenv("SIMULATED_FAULT_FILE", str(fault))
        library = make_faulty_library(toolchain.simulator, tmp_path / "library")
        with simulated_daemon(bundle, tmp_path, library, "bmrt", "--step-seconds", "20") as daemon:
            yield daemon

    @pytest.mark.parametrize(
        ("what", "code", "reason"),
        [
            ("hang", grpc.StatusCode.UNAVAILABLE, "wizardtpud/DEVICE_HUNG"),
            ("fail", grpc.StatusCode.INTERNAL, "wizardtpud/DEVICE_FAILURE"),
        ],
    )
    def test_everyone_is_told_and_the_daemon_ends(
        self, daemon: DaemonProcess, fault: Path, what: str, code: grpc.StatusCode, reason: str
    ) -> None:
        watch = health.watch(daemon.channel())
        assert next(watch) == "SERVING"
        running = daemon.stub.Generate(wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5])))
        read_until(running, "delta")
        waiting = daemon.stub.Generate(wire.GenerateRequest(token_ids=wire.TokenIds(ids=[7])))
        read_until(waiting, "queued")
        fault.write_text(what)
        for call in (running, waiting):
            with pytest.raises(grpc.RpcError) as caught:
                read_until(call, "finished")
            failure = Failure.of(caught.value)
            assert (failure.code, failure.reason) == (code, reason)
        assert next(watch) == "NOT_SERVING"
        assert daemon.wait() == 1
        eventually(lambda: "wizardtpud: " in daemon.stderr, "the reason in the log")


def test_what_the_vendor_prints_is_in_the_log(bundle: Path, toolchain: Toolchain, tmp_path: Path) -> None:
    options = ("--log-level", "debug")
    with simulated_daemon(bundle, tmp_path, toolchain.simulator, "simulator", *options) as daemon:
        daemon.expected_trouble = {CHATTER}
        said = eventually(lambda: daemon.records(CHATTER), "chatter in the log")
        assert {record["level"] for record in said} == {"debug"}
        assert any("cmodel" in record["text"] for record in said)
