from __future__ import annotations

import re
from pathlib import Path

import pytest
from wizardtpud.errors import ConfigurationError
from wizardtpud.service.arguments import parse
from wizardtpud.service.configuration import Configuration


def parsed(*argv: str) -> Configuration:
    return parse(["--bundle", "b", *argv], {}, Path("/nonexistent/wizardtpud.toml"))


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ("", "expected printable text"),
        (" ", "at least one group is needed"),
        ("0 0", "device 0 is named twice"),
        ("1,1", "device 1 is named twice"),
        ("0,1 2,1", "device 1 is named twice"),
        ("0,", "'' is not a device number"),
        ("-1", "'-1' is not a device number"),
        ("0;1", "'0;1' is not a device number"),
        ("²", "'²' is not a device number"),
        ("[[0]]", "'[[0]]' is not a device number"),
    ],
)
def test_wrong_devices_are_explained(devices: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"({reason}")):
        parsed(f"--devices={devices}")


@pytest.mark.parametrize(
    ("devices", "reason"),
    [
        ("[]", "at least one group is needed"),
        ("[[]]", "a group needs at least one device"),
        ("[[0], []]", "a group needs at least one device"),
        ("[0, 1]", "every group is a list of device numbers"),
        ("[[-1]]", "-1 is not a device number"),
        ("[[true]]", "True is not a device number"),
        ('[["0"]]', "'0' is not a device number"),
        ("[[0], [0]]", "device 0 is named twice"),
        ("0", "expected printable text"),
    ],
)
def test_wrong_devices_of_a_file_are_explained(tmp_path: Path, devices: str, reason: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"devices = {devices}")

    with pytest.raises(ConfigurationError, match=re.escape(f"({reason}")):
        parsed("--config", str(path))
