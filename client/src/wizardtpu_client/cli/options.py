"""The options that shape an answer, on the command line and in a call."""

from __future__ import annotations

import argparse
from typing import Any

# Keyword of Client.generate -> its flags on the command line and what argparse wants to know about them.
_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "max_new_tokens": (
        ("-n", "--max-new-tokens"),
        {"type": int, "metavar": "N", "help": "end the answer after N tokens"},
    ),
    "stop": (
        ("--stop",),
        {"action": "append", "metavar": "TEXT", "help": "end the answer before TEXT; may be repeated"},
    ),
    "temperature": (
        ("-t", "--temperature"),
        {
            "type": float,
            "metavar": "T",
            "help": "0, the default, takes the likeliest token; more gives variety",
        },
    ),
    "top_k": (("--top-k",), {"type": int, "metavar": "K", "help": "choose among the K likeliest tokens"}),
    "top_p": (
        ("--top-p",),
        {"type": float, "metavar": "P", "help": "choose among the likeliest tokens that together reach P"},
    ),
    "repetition_penalty": (
        ("--repetition-penalty",),
        {"type": float, "metavar": "R", "help": "make recent tokens less likely; 1 changes nothing, try 1.1"},
    ),
    "seed": (
        ("--seed",),
        {"type": int, "metavar": "N", "help": "repeat an answer made with -t (-v tells its seed)"},
    ),
    "logprobs": (
        ("--logprobs",),
        {
            "type": int,
            "metavar": "N",
            "help": "with --json: each token's log probability and N alternatives",
        },
    ),
}

GENERATION = frozenset(_OPTIONS)


def add_generation_options(group: argparse._ArgumentGroup) -> None:
    for name, (flags, details) in _OPTIONS.items():
        group.add_argument(*flags, dest=name, **details)


def generation_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keywords for Client.generate that were given on the command line."""
    values = {name: getattr(arguments, name) for name in _OPTIONS}
    return {name: value for name, value in values.items() if value is not None}
