"""From the description of a network to a bmodel by way of ONNX: the vendor's `model_transform`, `model_deploy`."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from wizardtpu_compile.disk import put
from wizardtpu_compile.emit import static_onnx
from wizardtpu_compile.errors import ToolchainError
from wizardtpu_compile.frontend.layout import deploy_arguments
from wizardtpu_compile.frontend.tools import Tools, find_frontend
from wizardtpu_compile.frontend.top_mlir import amend
from wizardtpu_compile.network.description import Network
from wizardtpu_compile.options.tpu import NetLayout
from wizardtpu_compile.precision import WeightFormat
from wizardtpu_compile.steps.process import Finished
from wizardtpu_compile.toolchain.compiler import Compiled
from wizardtpu_compile.toolchain.output import cycles
from wizardtpu_compile.toolchain.toolchain import Toolchain

BMODEL_NAME = "net.bmodel"
LOG_NAME = "log.txt"

_ONNX, _MLIR = "net.onnx", "net.mlir"


def build_network(
    toolchain: Toolchain,
    network: Network,
    name: str,
    sizes: Mapping[str, int],
    *,
    form: WeightFormat | None,
    layout: NetLayout,
    directory: Path,
    log: Path | None = None,
    cancelled: threading.Event | None = None,
) -> Compiled:
    """Compiles a network to `BMODEL_NAME` in `directory`; leaves nothing else there but the log.

    Args:
        toolchain: one with the front end for ONNX.
        network: what to compile.
        name: what the runtime will call it.
        sizes: sizes of the symbolic dimensions.
        form: how weights are stored and what activations are; None for float32.
        layout: decides the type and the memory of inputs and outputs.
        directory: where the bmodel goes.
        log: what the tools say; absent: `LOG_NAME` in `directory`.
        cancelled: when it is set, the tools are killed.

    Raises:
        ToolchainError: the front end is not installed, or a tool failed; has the end of what it said.
        Cancelled: `cancelled` was set.
    """
    find_frontend(toolchain)
    directory = directory.absolute()
    log = (log or directory / LOG_NAME).absolute()
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(dir=directory, prefix=".onnx.") as place:
        tools = Tools(toolchain, Path(place), log, cancelled)
        outcomes = [_transform(tools, network, name, sizes)]
        arguments = ["--mlir", _MLIR, "--chip", "bm1684x", "--model", BMODEL_NAME]
        outcomes.append(tools.script("model_deploy", *arguments, *deploy_arguments(layout, form)))
        _put(tools, directory / BMODEL_NAME)
        return _compiled(Path(place), outcomes)


def combine(
    toolchain: Toolchain,
    parts: Sequence[Path],
    bmodel: Path,
    *,
    log: Path,
    cancelled: threading.Event | None = None,
) -> None:
    """Makes one bmodel of several; networks of one name become its stages, in the order of `parts`.

    Needs as much memory as all of them together.

    Raises:
        ToolchainError: the vendor's tool failed.
        Cancelled: `cancelled` was set.
    """
    bmodel, log = bmodel.absolute(), log.absolute()
    with tempfile.TemporaryDirectory(dir=bmodel.parent, prefix=f".{bmodel.name}.") as place:
        tools = Tools(toolchain, Path(place), log, cancelled)
        tools.program("model_tool", "--combine", *(str(part.absolute()) for part in parts), "-o", BMODEL_NAME)
        _put(tools, bmodel)


def _transform(tools: Tools, network: Network, name: str, sizes: Mapping[str, int]) -> Finished:
    static_onnx.write(network, name, sizes, tools.directory / _ONNX)
    outcome = tools.script(
        "model_transform", "--model_name", name, "--model_def", _ONNX, "--mlir", _MLIR, "--not_inference"
    )
    text = tools.directory / _MLIR
    text.write_text(amend(text.read_text(encoding="utf-8"), network), encoding="utf-8")
    return outcome


def _put(tools: Tools, place: Path) -> None:
    made = tools.directory / BMODEL_NAME
    if not made.exists():
        raise ToolchainError(f"the vendor's tools made no bmodel, but say nothing of it; see {tools.log}")
    put(made, place)


def _compiled(directory: Path, outcomes: Sequence[Finished]) -> Compiled:
    return Compiled(
        cycles=cycles(directory),
        seconds=sum(outcome.seconds for outcome in outcomes),
        peak_memory=max(outcome.peak_memory for outcome in outcomes),
    )
