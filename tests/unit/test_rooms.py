"""Who may import whom: the rooms of the daemon, the thin client, and the size of a file."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ["daemon/src", "client/src", "compile/src"]
DAEMON = ROOT / "daemon/src/wizardtpud"
CLIENT = ROOT / "client/src/wizardtpu_client"
MAX_LINES = 300

# What each room may use of the others. All may use `errors`.
BELOW = {
    "errors": set(),
    "observability": set(),
    "device": {"observability"},
    "model": {"device", "observability"},
    "engine": {"model", "device", "observability"},
    "scheduling": {"engine", "model", "device", "observability"},
    "text": {"model", "device", "observability"},
    "rpc": {"text", "scheduling", "engine", "model", "device", "observability"},
    "service": {"rpc", "text", "scheduling", "engine", "model", "device", "observability"},
    "cli": {"service", "rpc", "text", "scheduling", "engine", "model", "device", "observability"},
}
CLIENT_MAY_USE = {"wizardtpu_client", "wizardtpu", "grpc", "grpc_status", "google"}
THE_EDGE = {"grpc", "grpc_health", "grpc_reflection", "grpc_status", "wizardtpu", "google"}


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not path.stem.endswith(("_pb2", "_pb2_grpc")))


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, at its top or within functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(DAEMON).with_suffix("").parts[0]


def rooms_used(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    return {names[1] for names in parts if names[0] == "wizardtpud"} - {room(path), "errors"}


def packages_used(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_room_is_known() -> None:
    assert {room(path) for path in modules(DAEMON)} == {*BELOW, "__init__"}


@pytest.mark.parametrize("path", modules(DAEMON), ids=name_of)
def test_rooms_import_only_below_themselves(path: Path) -> None:
    assert rooms_used(path) <= BELOW.get(room(path), set())


def test_the_order_has_no_circles() -> None:
    """So that BELOW, if it is edited, stays an order."""
    for name, below in BELOW.items():
        for lower in below:
            assert BELOW[lower] < below, f"{name} uses {lower}"


@pytest.mark.parametrize("path", [path for path in modules(DAEMON) if room(path) != "rpc"], ids=name_of)
def test_only_the_edge_knows_grpc(path: Path) -> None:
    assert not packages_used(path) & THE_EDGE


@pytest.mark.parametrize("path", modules(CLIENT), ids=name_of)
def test_the_client_needs_nothing_but_grpc_and_protobuf(path: Path) -> None:
    assert packages_used(path) <= CLIENT_MAY_USE


@pytest.mark.parametrize("path", [path for source in SOURCES for path in modules(ROOT / source)], ids=name_of)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
