"""What runs a bundle, and loading it there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from wizardtpud.device.bmrt.locations import TOOLCHAIN_VARIABLE, find_simulator
from wizardtpud.device.choice import DeviceChoice, DeviceKind
from wizardtpud.errors import BundleError, DeviceError
from wizardtpud.model.bundle import Bundle
from wizardtpud.model.loading import choose_device, load

from tests.support.foreign_model import CONTEXT, llm_convert_nets, write_foreign_model


@pytest.fixture(scope="module")
def bundle(random_bundle: Path) -> Bundle:
    return Bundle.open(random_bundle)


def test_an_unknown_device(bundle: Bundle) -> None:
    with pytest.raises(DeviceError, match="unknown device 'gpu'; known: cpu, simulator, bmrt, sail"):
        load(bundle, "gpu")  # type: ignore[arg-type]


def test_a_bundle_for_another_device(bundle: Bundle) -> None:
    other = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, target="bm1684x"))
    with pytest.raises(BundleError, match=r"is for bm1684x, not for the device cpu.*--target cpu"):
        load(other, "cpu")


def chip_bundle(bundle: Bundle, file: str | None = None) -> Bundle:
    """The bundle as if it were for a chip, with all networks in `file`."""
    networks = [msgspec.structs.replace(e, file=file or e.file) for e in bundle.manifest.networks]
    return replace(
        bundle,
        manifest=msgspec.structs.replace(bundle.manifest, target="bm1684x", networks=networks, device_bytes=1),
    )


def test_the_simulator_takes_bundles_for_the_chip(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"is for cpu, not for the device simulator.*--target bm1684x"):
        load(bundle, "simulator")


@pytest.mark.parametrize("device", ["simulator", "bmrt"])
def test_libraries_that_are_not_where_they_are_said_to_be(
    bundle: Bundle, tmp_path: Path, device: DeviceKind
) -> None:
    with pytest.raises(DeviceError, match="has no libbmlib"):
        load(chip_bundle(bundle, "tokenizer.json"), device, library=tmp_path)


def test_a_simulator_that_is_not_installed(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOOLCHAIN_VARIABLE, str(tmp_path))
    with pytest.raises(DeviceError, match=f"no simulator in {tmp_path}: `wizardtpu-compile toolchain install`"):
        load(chip_bundle(bundle, "tokenizer.json"), "simulator")


def test_the_newest_simulator_in_its_usual_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOOLCHAIN_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("toolchain-1.30.2/simulator", "toolchain-1.9.0/simulator", "toolchain-2.0.0"):
        (tmp_path / ".cache/wizardtpu" / name).mkdir(parents=True)
    assert find_simulator() == tmp_path / ".cache/wizardtpu/toolchain-1.30.2/simulator"


def test_a_group_has_as_many_devices_as_the_bundle_is_for(bundle: Bundle) -> None:
    chip = chip_bundle(bundle, "tokenizer.json")
    divided = replace(chip, manifest=msgspec.structs.replace(chip.manifest, devices=2))
    with pytest.raises(
        BundleError,
        match=r"is for 2 devices and was given 1 device \(0\); each group of the key devices must name 2",
    ):
        load(divided, "simulator")
    with pytest.raises(BundleError, match=r"is for 1 device and was given 2 devices \(0, 1\)"):
        load(bundle, "cpu", devices=[0, 1])


def test_a_chip_loads_one_file(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="are in 5 files, and a chip loads one"):
        load(chip_bundle(bundle), "bmrt")


def test_loading_reports_the_bytes_of_every_network_file(bundle: Bundle) -> None:
    seen: list[tuple[int, int]] = []
    load(bundle, "cpu", on_progress=lambda *progress: seen.append(progress)).close()
    files = {network.file for network in bundle.manifest.networks}
    total = sum(bundle.manifest.files[name].bytes for name in files)
    assert len(seen) == len(files)
    assert seen[-1] == (total, total)


class TestChoosing:
    def test_what_is_for_the_cpu(self, bundle: Bundle) -> None:
        assert choose_device(bundle, None) == DeviceChoice("cpu", "the bundle is for it")

    @pytest.mark.parametrize(("device", "owned"), [("sail", True), ("bmrt", True), ("simulator", False)])
    def test_what_was_asked_for(self, bundle: Bundle, device: DeviceKind, owned: bool) -> None:
        choice = choose_device(chip_bundle(bundle), device)
        assert (choice.kind, choice.owned) == (device, owned)

    def test_what_was_asked_for_must_fit(self, bundle: Bundle) -> None:
        with pytest.raises(BundleError, match="is for cpu, not for the device bmrt"):
            choose_device(bundle, "bmrt")

    def test_libraries_that_are_named_are_used(self, bundle: Bundle, tmp_path: Path) -> None:
        choice = choose_device(chip_bundle(bundle), None, tmp_path)
        assert (choice.kind, choice.reason) == ("bmrt", f"library names {tmp_path}")

    def test_a_machine_without_a_chip_is_told_all_that_was_tried(
        self, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("wizardtpud.device.choice.CHIP", tmp_path / "lib")
        expected = f"cannot import sophon.sail: .*; {tmp_path}/lib is not a directory.*--device simulator"
        with pytest.raises(DeviceError, match=expected):
            choose_device(chip_bundle(bundle), None)

    def test_networks_that_sail_cannot_run(self, bundle: Bundle) -> None:
        chip = chip_bundle(bundle)
        foreign = replace(chip, manifest=msgspec.structs.replace(chip.manifest, layout="wizardcoder-tpu"))
        with pytest.raises(BundleError, match="wizardcoder-tpu, which sophon-sail cannot run; use --device bmrt"):
            choose_device(foreign, "sail")
        with pytest.raises(DeviceError, match="no way to a chip: sophon-sail cannot run these networks; "):
            choose_device(foreign, None)


class TestChoosingForALongPrompt:
    """Of networks that go on with a prompt, which sophon-sail can read only token by token."""

    @pytest.fixture(params=[True, False], ids=["goes on", "reads at once"])
    def goes_on(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest.fixture
    def foreign(self, tmp_path: Path, goes_on: bool) -> Bundle:
        chunk = CONTEXT // 4
        nets = llm_convert_nets(dynamic=True, history=True, chunk=chunk) if goes_on else llm_convert_nets()
        return Bundle.open(write_foreign_model(tmp_path / "foreign", nets))

    @pytest.fixture
    def with_sail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = SimpleNamespace(device_count=1)
        monkeypatch.setattr("wizardtpud.device.choice.SailLibrary.load", lambda: found)

    @pytest.fixture
    def with_bmrt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = SimpleNamespace(device_count=lambda: 2)
        monkeypatch.setattr("wizardtpud.device.choice.BmrtLibrary.load", lambda _: found)

    @pytest.mark.usefixtures("with_sail", "with_bmrt")
    def test_where_there_are_both(self, foreign: Bundle, goes_on: bool) -> None:
        why = "sophon-sail would read long prompts token by token; the runtime in /opt/.* sees 2 devices"
        kind, reason = ("bmrt", why) if goes_on else ("sail", "sophon-sail is installed, and sees 1 device")
        choice = choose_device(foreign, None)
        assert choice.kind == kind
        assert re.fullmatch(reason, choice.reason)

    @pytest.mark.usefixtures("with_sail")
    def test_where_there_is_sail_alone(self, foreign: Bundle, goes_on: bool) -> None:
        slow = "; long prompts are slow there, read token by token" if goes_on else ""
        assert choose_device(foreign, None) == DeviceChoice(
            "sail", f"sophon-sail is installed, and sees 1 device{slow}"
        )

    @pytest.mark.usefixtures("with_bmrt")
    def test_where_there_is_the_runtime_alone(self, foreign: Bundle) -> None:
        assert choose_device(foreign, None).kind == "bmrt"
