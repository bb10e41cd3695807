"""What was measured, as a part of the document."""

from __future__ import annotations

from datetime import date

from tests.bench.chip.step import ChipStep
from tests.bench.machine import Machine
from tests.bench.table import table

_AIM_MILLISECONDS = 1.5
_SEED_BYTES = 10_485_760
"""What the demonstration copies for a token: 40 layers, 512 rows of 256 elements of 2 bytes."""


def part(measured: ChipStep, machine: Machine, day: date) -> str:
    """The part of docs/BENCHMARKS.md that is about the decode loop on the chip."""
    met = "met" if measured.host_seconds.median * 1e3 <= _AIM_MILLISECONDS else "not met"
    rows = [
        (text, f"{counts.get(function, 0):.0f}", demonstration)
        for text, counts, function, demonstration in (
            ("launches of networks", measured.calls, "bmrt_launch_tensor_ex", "42"),
            ("waits for the device", measured.calls, "bm_thread_sync", "40"),
            ("copies to the device", measured.calls, "bm_memcpy_s2d", ""),
            ("bytes copied to the device", measured.copied, "bm_memcpy_s2d", ""),
            ("copies to the host", measured.calls, "bm_memcpy_d2s", ""),
            ("bytes copied to the host", measured.copied, "bm_memcpy_d2s", "4"),
            ("bytes copied within the device", measured.copied, "bm_memcpy_d2d_byte", f"{_SEED_BYTES}"),
        )
    ]
    rows.append(("all calls", f"{sum(measured.calls.values()):.0f}", ""))
    seconds = measured.host_seconds
    milliseconds = f"{seconds.median * 1e3:.3f} ms, nine of ten within {seconds.p90 * 1e3:.3f} ms"
    return f"""# Benchmarks of the decode loop on the chip
`make bench` measured this part on {day.isoformat()}.

- Machine: {machine.processor}, {machine.cores} cores, {machine.system}. In the minute before the run \
{machine.load:.1f} processes wanted a core.
- **No chip was there.** The engine runs over the vendor's runtime library as on a chip, with a model of
  {measured.layers} layers and a context of {measured.context}, each layer a network of its own, greedily.

| a decoded token | wizardtpud, counted | the original demonstration, as read in its source |
| --- | ---: | ---: |
{_rows(rows)}

Counted at the functions of the vendor's libraries, so the same in every run. To the device go a token, its
position and the mask, side by side; to the host comes a token. What the runtime copies by itself inside a
launch is not seen here: it has nothing to copy where networks are compiled for any address. Through
sophon-sail there are three copies to the device, and a wait after every network.

**The host's time for a step: {milliseconds}** (measured over {len(measured.host_seconds.values)} steps; at
most {_AIM_MILLISECONDS} ms: {met}). For this, launches return at once: what is left is what the engine, the
interface to the device, the copies and the wait add. The runtime library's own work for a launch is not in
it.
"""


def _rows(rows: list[tuple[str, str, str]]) -> str:
    return "\n".join(table("a | b | c", rows).splitlines()[2:])
