"""A daemon that is to end by itself before it serves."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.daemon_process import COMMAND, environment


def refused(bundle: Path, *arguments: str, **variables: str) -> str:
    """The one line that says why; nothing is printed to stdout.

    Args:
        bundle: what it is to serve.
        arguments: more of the command line.
        variables: of the environment.
    """
    ended = subprocess.run(
        [*COMMAND, "--bundle", str(bundle), "--listen", "127.0.0.1:0", "--metrics", "off", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("wizardtpud: ")]
    return line
