"""What a test needs of the machine and a developer's machine may lack, but CI may not."""

from __future__ import annotations

import os

import pytest


def require(present: object, what: str) -> None:
    """Reports that the test could not run if something is missing; where CI=true, that is a failure."""
    if present:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}")
    pytest.skip(f"could not run: needs {what}")
