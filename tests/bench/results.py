"""Everything a run found out."""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench.decode_traffic import DecodeTraffic
from tests.bench.first_token import FirstToken
from tests.bench.machine import Machine
from tests.bench.plan import Plan
from tests.bench.race import Race
from tests.bench.serving import Serving


@dataclass(frozen=True)
class Results:
    """The raw numbers, as `--json` writes them; seconds and bytes throughout.

    Attributes:
        command: that made them.
        date: of the run, UTC.
        peers: versions of the foreign libraries; none if they were not run.
    """

    command: str
    date: str
    plan: Plan
    machine: Machine
    peers: dict[str, str]
    races: list[Race]
    serving: list[Serving]
    first_token: FirstToken
    traffic: list[DecodeTraffic]
