"""Build hook: generates the Python messages, stubs and their types from the .proto files."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from grpc_tools import _proto as well_known_protos
from grpc_tools import protoc
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GenerateStubs(BuildHookInterface[Any]):
    """Writes `*_pb2.py`, `*_pb2_grpc.py` and their `.pyi` beside each .proto file."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        generate(root, sorted(root.glob("wizardtpu/**/*.proto")))


def generate(root: Path, protos: list[Path]) -> None:
    """Runs protoc; raises SystemExit with protoc's code if it refuses a file."""
    # pip builds in an environment whose scripts are on PATH; without it, they are beside the interpreter.
    places = os.pathsep.join([os.environ.get("PATH", ""), sysconfig.get_path("scripts")])
    arguments = [
        "protoc",
        f"--proto_path={root}",
        f"--proto_path={next(iter(well_known_protos.__path__))}",
        f"--python_out={root}",
        f"--pyi_out={root}",
        f"--grpc_python_out={root}",
        f"--plugin=protoc-gen-mypy_grpc={shutil.which('protoc-gen-mypy_grpc', path=places)}",
        f"--mypy_grpc_out={root}",
        *(str(proto.relative_to(root)) for proto in protos),
    ]
    if code := protoc.main(arguments):
        raise SystemExit(code)


if __name__ == "__main__":
    here = Path(__file__).parent
    generate(here, sorted(here.glob("wizardtpu/**/*.proto")))
    sys.exit(0)
