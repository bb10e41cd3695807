"""Changes a checkpoint that is there, mostly for the worse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file


def edit_json(path: Path, **changes: Any) -> None:
    """Sets keys of a JSON object, which is made if it is not there; None removes a key."""
    content = json.loads(path.read_text()) if path.exists() else {}
    content.update(changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def edit_tensors(checkpoint: Path, changes: Mapping[str, NDArray[Any] | None]) -> None:
    """Replaces tensors of a checkpoint with one safetensors file; None removes a tensor."""
    path = checkpoint / "model.safetensors"
    tensors = {**load_file(path), **changes}
    save_file({name: array for name, array in tensors.items() if array is not None}, path)
