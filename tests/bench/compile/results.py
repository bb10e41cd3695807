"""Everything a run found out."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.compile.demo_bundle import DemoBundle
from tests.bench.compile.resumption import Resumption
from tests.bench.compile.route import Route
from tests.bench.compile.speed import Speed
from tests.bench.compile.wide_build import WideBuild
from tests.bench.machine import Machine


@dataclass(frozen=True)
class Results:
    """The raw numbers, as `--json` writes them; seconds and bytes but where something else is said.

    Attributes:
        command: that made them.
        date: of the run, UTC.
        toolchain: version of the vendor's compiler.
        routes: none if the vendor's front end for ONNX is not installed.
    """

    command: str
    date: str
    machine: Machine
    toolchain: str
    build: WideBuild
    resumptions: list[Resumption]
    speed: Speed
    routes: list[Route]
    demo: list[DemoBundle]
