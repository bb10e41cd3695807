"""What the two processes tell each other."""

from __future__ import annotations

import msgspec
from wizardtpud.device.choice import DeviceKind

JOB_NAME = "job.json"


class NetworkJob(msgspec.Struct, tag="networks", frozen=True):
    """Run networks of a bmodel on files of inputs.

    Attributes:
        model: path of the bmodel.
        library: directory of the vendor's runtime.
        runs: network, file of inputs, file for its outputs; each an npz of arrays by name, floats as float32.
    """

    model: str
    library: str
    runs: list[tuple[str, str, str]]


class GreedyJob(msgspec.Struct, tag="greedy", frozen=True):
    """Continue prompts greedily with the daemon's engine.

    Attributes:
        bundle: directory of the bundle.
        device: what the engine runs on, as `wizardtpud.model.loading` names it.
        library: directory of the vendor's runtime, if the device needs one.
        prompts: token ids.
        tokens: how many to add to each.
        answers: file for the token ids added, as JSON.
    """

    bundle: str
    device: DeviceKind
    library: str | None
    prompts: list[list[int]]
    tokens: int
    answers: str


Job = NetworkJob | GreedyJob
