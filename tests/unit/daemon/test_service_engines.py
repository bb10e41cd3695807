from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from wizardtpud.device.lock import lock_device
from wizardtpud.errors import DeviceError
from wizardtpud.model.bundle import Bundle
from wizardtpud.scheduling.scheduler import Scheduler
from wizardtpud.service.configuration import Configuration
from wizardtpud.service.device_groups import DeviceGroups
from wizardtpud.service.engines import Engines

from tests.support import small_bundle


def engines_on(device: Any, directory: Path) -> Engines:
    configuration = Configuration(
        bundle=directory, device=device, devices=DeviceGroups(((3,), (0,))), lock_directory=directory
    )
    target: Any = "cpu" if device == "cpu" else "bm1684x"
    manifest = msgspec.structs.replace(small_bundle.manifest(), target=target)
    return Engines(configuration, Bundle(directory, manifest, "d1"), Scheduler(1, slots=2))


async def test_every_chip_of_every_group_is_locked(tmp_path: Path) -> None:
    engines_on("bmrt", tmp_path).claim()

    for device in (0, 3):
        with pytest.raises(DeviceError, match=f"device {device} is in use by .* serving {tmp_path}"):
            lock_device(tmp_path, device, "")
    lock_device(tmp_path, 1, "")


@pytest.mark.parametrize("device", ["cpu", "simulator"])
async def test_what_every_process_has_of_its_own_is_not_locked(tmp_path: Path, device: str) -> None:
    engines_on(device, tmp_path).claim()

    for number in (0, 3):
        lock_device(tmp_path, number, "")
