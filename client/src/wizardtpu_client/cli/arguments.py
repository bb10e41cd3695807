"""The command line: what it offers, and what it means."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from importlib.metadata import version

from wizardtpu_client import address
from wizardtpu_client.cli.options import GENERATION, add_generation_options

DESCRIPTION = """\
Ask the code model of wizardtpud, and see the answer as it is written.

The words are the instruction. Text piped into standard input is put before
them, or is the instruction itself if there are no words.

Instead of words, one of these alone:
  chat      hold a conversation (/reset and /exit are its commands)
  status    show what the daemon is doing
  model     show which model it holds
To ask these very words, write them after two dashes: wizardtpu-client -- status
"""

EPILOG = f"""\
examples:
  wizardtpu-client "write quicksort"
  wizardtpu-client -x quicksort in python > quicksort.py
  wizardtpu-client "find the bug" < broken.py
  git diff | wizardtpu-client "write a commit message for this change"
  wizardtpu-client -t 0.8 --top-p 0.95 --seed 7 "a haiku about recursion"
  wizardtpu-client --raw --stop $'\\n\\n' "def fibonacci(n):"
  wizardtpu-client --json "write quicksort" | jq -r 'select(.event == "delta").text'
  wizardtpu-client --address tpu-box:50051 status

In a script that reads its own standard input, add < /dev/null.

exit codes:
  0    the answer is complete
  1    wizardtpud failed, or anything not named below
  2    the command line or standard input cannot be used
  3    wizardtpud cannot be reached
  4    wizardtpud refused the request as invalid
  5    wizardtpud is busy: its queue is full, or it is starting or stopping
  124  --timeout has passed
  130  interrupted with Ctrl-C
  141  standard output was closed by its reader

environment:
  {address.ENVIRONMENT}  where wizardtpud listens, if --address is not given
"""

# What each command makes no use of, and therefore does not take.
_FOREIGN = {
    "ask": frozenset[str](),
    "chat": frozenset({"extract", "json", "raw", "logprobs"}),
    "status": GENERATION | {"extract", "raw", "system", "verbose"},
    "model": GENERATION | {"extract", "raw", "system", "verbose"},
}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options, `words`, and `command`: ask, chat, status or model. Exits with 2 if they make no sense."""
    parser = _parser()
    before, literal = _split(argv)
    arguments = parser.parse_intermixed_args(before)
    named = literal is None and len(arguments.words) == 1 and arguments.words[0] in _FOREIGN
    arguments.command = arguments.words[0] if named and arguments.words[0] != "ask" else "ask"
    arguments.words += literal or []
    _check(parser, arguments)
    return arguments


def _split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands before `--`, and what stands after it; None without one."""
    if "--" not in argv:
        return list(argv), None
    at = list(argv).index("--")
    return list(argv[:at]), list(argv[at + 1 :])


def _check(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    for name in sorted(_FOREIGN[arguments.command]):
        value = getattr(arguments, name)
        if value is not None and value is not False:  # 0 is a value too
            parser.error(f"--{name.replace('_', '-')} has no meaning for {arguments.command}")
    if arguments.raw and arguments.system is not None:
        parser.error("--raw gives the model the text as it is: put the system message into the text")
    if arguments.logprobs is not None and not arguments.json:
        parser.error("--logprobs are shown only with --json")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wizardtpu-client",
        usage="%(prog)s [options] [--] WORD ...\n       %(prog)s [options] chat | status | model",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="the instruction; words are joined with spaces")
    _add_connection(parser.add_argument_group("connection"))
    _add_input(parser.add_argument_group("input"))
    add_generation_options(parser.add_argument_group("answer"))
    _add_output(parser.add_argument_group("output"))
    return parser


def _add_connection(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--address", metavar="ADDRESS", help=f"host:port or unix:/path ({address.DEFAULT})")
    group.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="give up when an answer takes longer, waiting included"
    )


def _add_input(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--raw", action="store_true", help="give the text to the model without its prompt template")
    group.add_argument("--system", metavar="TEXT", help="a system message to go before the instruction")


def _add_output(group: argparse._ArgumentGroup) -> None:
    form = group.add_mutually_exclusive_group()
    form.add_argument(
        "-x", "--extract", action="store_true", help="print only the first code block, and stop there"
    )
    form.add_argument("--json", action="store_true", help="print one JSON object per line and event")
    group.add_argument("-v", "--verbose", action="store_true", help="then tell speed, timings and seed")
    group.add_argument("--version", action="version", version=f"%(prog)s {version('wizardtpu-client')}")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds
