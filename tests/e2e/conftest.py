"""Bundles, built once as a person builds them, and daemons that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from wizardtpu_compile.options import CpuOptions
from wizardtpu_compile.targets.cpu import build_cpu_bundle

from tests.golden.cases import DEMO_CHECKPOINT
from tests.support.daemon_process import DaemonProcess
from tests.support.random_checkpoint import write_random_checkpoint

ENDLESS_CONTEXT = 32768


@pytest.fixture(scope="session")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration model."""
    bundle = tmp_path_factory.mktemp("bundles") / "demo"
    build_cpu_bundle(DEMO_CHECKPOINT, bundle, CpuOptions())
    return bundle


@pytest.fixture(scope="session")
def endless_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says something new in a millisecond or two, and goes on for a minute, or reads for as long."""
    directory = tmp_path_factory.mktemp("bundles")
    checkpoint = write_random_checkpoint(
        directory / "checkpoint", layers=1, positions=ENDLESS_CONTEXT, never_ends=True
    )
    build_cpu_bundle(checkpoint, directory / "endless", CpuOptions(name="endless", prefill_chunks=(8,)))
    return directory / "endless"


@pytest.fixture(scope="module")
def daemon(demo_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with the demonstration model, shared by the tests of a file."""
    with DaemonProcess(demo_bundle, tmp_path_factory.mktemp("daemon")) as process:
        yield process


@pytest.fixture
def endless(endless_daemon: DaemonProcess) -> Iterator[DaemonProcess]:
    """The shared daemon with the endless model, idle before and after the test."""
    endless_daemon.wait_until_running(0)
    yield endless_daemon
    endless_daemon.wait_until_running(0)


@pytest.fixture(scope="module")
def endless_daemon(endless_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with DaemonProcess(endless_bundle, tmp_path_factory.mktemp("daemon")) as process:
        yield process
