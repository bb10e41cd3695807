"""Some networks of a bmodel, as a bmodel of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from wizardtpud.model.bmodel.model import network_name
from wizardtpud.model.bmodel.reading import read_contents

from wizardtpu_compile.bmodel.assembly import Assembly


def extract(model: Path, networks: Collection[str], output: Path) -> None:
    """Writes a bmodel of the networks of another one that have these names.

    Raises:
        BmodelError: `model` is no bmodel, is damaged, or has none of them; or `output` is there already.
        OSError: reading or writing failed.
    """
    contents = read_contents(model)
    nets = [net for net in contents.description.net if network_name(net) in networks]
    description = dataclasses.replace(contents.description, net=nets)
    assembly = Assembly.open(output)
    assembly.add_contents("extracted", [dataclasses.replace(contents, description=description)])
    assembly.finish()
    assembly.journal.unlink()
