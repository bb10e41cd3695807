"""The memory of a simulated device."""

from __future__ import annotations

import pytest
from wizardtpud.device.vendor.simulator import simulated_memory
from wizardtpud.errors import DeviceError

RESERVED = 81 * 2**20  # by the simulator, for itself


@pytest.mark.parametrize(
    ("told", "free"), [("0x10000000", 2**28 - RESERVED), ("0x1000", 0), (None, 2**32 - RESERVED)]
)
def test_what_can_be_had(monkeypatch: pytest.MonkeyPatch, told: str | None, free: int) -> None:
    monkeypatch.delenv("CMODEL_GLOBAL_MEM_SIZE", raising=False)
    if told is not None:
        monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", told)
    assert simulated_memory() == free


def test_what_the_simulator_would_not_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMODEL_GLOBAL_MEM_SIZE", "1073741824")
    with pytest.raises(DeviceError, match="must be like 0x40000000"):
        simulated_memory()
