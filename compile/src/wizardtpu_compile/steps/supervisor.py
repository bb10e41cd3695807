"""Runs one program on behalf of a process that may be killed at any moment.

A script of its own that needs the standard library alone:

    supervisor.py LIFELINE PROGRAM ARGUMENT...

LIFELINE is the descriptor of a pipe into which nothing is ever written. When its other end is closed - by whoever
does not want to wait any longer, or by the kernel because that process is gone - the program and its process group
are killed. The program's whole environment is read from standard input, each NAME=VALUE ended by a zero byte: as
arguments they could be read by everybody on the machine. All it writes goes to standard error. On standard output
appear its wait status and its peak memory in KiB, or "errno" and a number if it cannot be started.
"""

from __future__ import annotations

import os
import select
import signal
import sys


def main(arguments: list[str]) -> str:
    lifeline = int(arguments[0])
    os.set_inheritable(lifeline, False)
    variables = sys.stdin.buffer.read().split(b"\0")[:-1]
    if _is_readable(lifeline):
        return ""  # nobody waits any more; perhaps these are not all variables
    environment = dict(variable.split(b"=", 1) for variable in variables)
    ended = _descriptor_of(signal.SIGCHLD)
    try:
        child = _spawn(arguments[1:], environment)
    except OSError as error:
        return f"errno {error.errno}"
    while not _has_ended(child):
        ready, _, _ = select.select([lifeline, ended], [], [])
        if lifeline in ready:
            break
        os.read(ended, 1024)
    os.killpg(child, signal.SIGKILL)  # not reaped yet, so this group is the program's even if it has ended
    _, status, usage = os.wait4(child, 0)
    return f"{status} {usage.ru_maxrss}"


def _is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def _descriptor_of(number: signal.Signals) -> int:
    """One that becomes readable with the signal."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    signal.signal(number, lambda _number, _frame: None)
    return reading


def _spawn(command: list[str], environment: dict[bytes, bytes]) -> int:
    """In a group of its own, without input, and with the signals that Python ignores as usual."""
    return os.posix_spawn(
        command[0],
        command,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, 2, 1),
        ],
        setpgroup=0,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


if __name__ == "__main__":
    print(main(sys.argv[1:]), flush=True)
