"""TOML files of named tables, read the same way on every supported Python."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_tables(path: Path) -> dict[str, dict[str, Any]]:
    """Name -> table, in the order of the file. Raises `tomllib.TOMLDecodeError` (a `ValueError`)."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return tables
