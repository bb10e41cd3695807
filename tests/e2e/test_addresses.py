"""Where the daemon listens: TCP, unix sockets, several of them at once, told in any of the three ways."""

from __future__ import annotations

import socket
import stat
import subprocess
from pathlib import Path

import grpc
import pytest
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpu.v1 import generation_pb2_grpc as stubs

from tests.support import health
from tests.support.conversation import ask, asking, read_until
from tests.support.daemon_process import COMMAND, DaemonProcess, environment
from tests.support.eventually import PATIENCE, eventually
from tests.support.requirement import require


def _answers(daemon: DaemonProcess, address: str) -> None:
    stub = stubs.GenerationServiceStub(daemon.channel(address=address))
    assert ask(stub, asking(max_new_tokens=3)).usage.generated_tokens == 3


def test_several_addresses_at_once(demo_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with DaemonProcess(
        demo_bundle, tmp_path, listen=("127.0.0.1:0", f"unix:{path}", "127.0.0.1:0", "localhost:0")
    ) as daemon:
        assert len(daemon.addresses) == len(set(daemon.addresses)) == 4
        for address in daemon.addresses:
            _answers(daemon, address)
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert daemon.stop() == 0
    assert not path.exists(), "a daemon that has stopped leaves no socket behind"


def test_ipv6(demo_bundle: Path, tmp_path: Path) -> None:
    require(_has_ipv6(), "IPv6 on the loopback interface")
    with DaemonProcess(demo_bundle, tmp_path, "--metrics", "[::1]:0", listen=("[::1]:0",)) as daemon:
        assert daemon.address.startswith("[::1]:")
        _answers(daemon, daemon.address)
        assert daemon.scrape().outcomes() == {"max_tokens": 1}


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_socket_of_a_killed_daemon_is_taken_over(demo_bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with DaemonProcess(demo_bundle, tmp_path, listen=(f"unix:{path}",)) as killed:
        killed.kill()
        with pytest.raises(grpc.RpcError):
            health.check(killed.channel())
    assert path.exists()
    with DaemonProcess(demo_bundle, tmp_path, listen=(f"unix:{path}",)) as daemon:
        _answers(daemon, daemon.address)


def test_port_of_a_killed_daemon_is_taken_over(demo_bundle: Path, tmp_path: Path) -> None:
    """Also while connections to it are still being wound up."""
    with DaemonProcess(demo_bundle, tmp_path) as killed:
        address = killed.address
        call = killed.stub.Generate(asking())
        read_until(call, "started")
        killed.kill()
    with DaemonProcess(demo_bundle, tmp_path, listen=(address,)) as daemon:
        _answers(daemon, address)


def test_environment_and_file(demo_bundle: Path, tmp_path: Path) -> None:
    """What one daemon is told by its environment it prints as a file, from which another makes the same of it."""
    path = tmp_path / "socket"
    told = environment(
        WIZARDTPUD_BUNDLE=str(demo_bundle),
        WIZARDTPUD_LISTEN=f"127.0.0.1:0,unix:{path}",
        WIZARDTPUD_METRICS="off",
        WIZARDTPUD_QUEUE_CAPACITY="5",
    )
    printed = subprocess.run(
        [*COMMAND, "--print-config"], capture_output=True, text=True, env=told, timeout=PATIENCE, check=True
    )
    config = tmp_path / "wizardtpud.toml"
    config.write_text(printed.stdout)
    with (tmp_path / "stderr").open("w") as stderr:
        process = subprocess.Popen([*COMMAND, "--config", str(config)], stderr=stderr, env=environment())
    try:
        eventually(lambda: "INFO serving model=" in (tmp_path / "stderr").read_text(), "a daemon that serves")
        with grpc.insecure_channel(f"unix:{path}") as channel:
            status = stubs.GenerationServiceStub(channel).GetStatus(wire.GetStatusRequest(), timeout=PATIENCE)
        assert status.queue_capacity == 5
        assert "serving metrics" not in (tmp_path / "stderr").read_text()
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
