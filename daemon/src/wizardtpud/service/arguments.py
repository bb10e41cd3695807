"""From flags, environment and file to a configuration."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from wizardtpud.errors import ConfigurationError
from wizardtpud.service.configuration import KEYS, Configuration, Key
from wizardtpud.service.document import document, explanation

DEFAULT_FILE = Path("/etc/wizardtpud/wizardtpud.toml")
PREFIX = "WIZARDTPUD_"
_FILE_VARIABLE = f"{PREFIX}CONFIG"

_EXAMPLES = f"""\
examples:
  wizardtpud --bundle ./bundle
      serve a bundle on 127.0.0.1:50051, and metrics on 127.0.0.1:9464
  wizardtpud --bundle ./bundle --listen '[::]:50051' --listen unix:/run/wizardtpud/socket --metrics off
      serve the network and a local socket, without metrics
  {PREFIX}BUNDLE=./bundle {PREFIX}LISTEN=127.0.0.1:50051,unix:/run/wizardtpud/socket wizardtpud
      the same keys as environment variables
  wizardtpud --bundle ./bundle --print-config > wizardtpud.toml
      write a configuration file with every key explained, to be used with --config

Every flag is also a key of the file (queue_capacity = 64) and an environment variable
({PREFIX}QUEUE_CAPACITY=64). Flags win over variables, variables over the file.
"""


def parse(argv: Sequence[str], environ: Mapping[str, str], default_file: Path = DEFAULT_FILE) -> Configuration:
    """The configuration asked for: flags win over the environment, and that over the file.

    ``--help``, ``--version`` and ``--print-config`` print to stdout and raise SystemExit(0).

    Args:
        argv: without the program's name.
        environ: all environment variables.
        default_file: read if it exists and no other file is named.

    Raises:
        ConfigurationError: a flag, variable, key or value is not allowed; the text says which and what is.
    """
    flags = _flags(argv)
    file = _file(flags.config, environ, default_file)
    values = {**_from_file(file), **_from_environment(environ), **_from_flags(flags)}
    if flags.print_config:
        print(document(values), end="")
        raise SystemExit(0)
    if "bundle" not in values:
        place = file or default_file
        raise ConfigurationError(
            f"no bundle to serve: give --bundle DIR, {PREFIX}BUNDLE=DIR, or bundle in {place}"
        )
    return Configuration(**values)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f"{message}; see wizardtpud --help")


def _parser() -> _Parser:
    parser = _Parser(
        prog="wizardtpud",
        description="Keeps one compiled code model resident and streams its answers over gRPC.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"Configuration in TOML. Default: {DEFAULT_FILE}, if it exists"
    )
    parser.add_argument(
        "--print-config", action="store_true", help="Print the configuration in effect as TOML and exit."
    )
    parser.add_argument("--version", action="version", version=f"wizardtpud {version('wizardtpud')}")
    for key in KEYS.values():
        _add_flag(parser, key)
    return parser


def _add_flag(parser: argparse.ArgumentParser, key: Key) -> None:
    action = argparse.BooleanOptionalAction if key.is_switch else "append" if key.is_list else "store"
    parser.add_argument(_flag(key.name), action=action, help=explanation(key).replace("%", "%%"))


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags(argv: Sequence[str]) -> argparse.Namespace:
    flags, unknown = _parser().parse_known_args(argv)
    if unknown:
        known = ["--config", "--print-config", "--version", "--help", *map(_flag, KEYS)]
        if not unknown[0].startswith("-"):
            raise ConfigurationError(f"unexpected argument {unknown[0]!r}: every value needs its flag before it")
        raise ConfigurationError(f"unknown flag {unknown[0]}{_nearest(unknown[0].partition('=')[0], known)}")
    return flags


def _from_flags(flags: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(flags, name) for name in KEYS}
    return {
        name: KEYS[name].value(value, f"the flag {_flag(name)}", strict=False)
        for name, value in given.items()
        if value is not None
    }


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    known = {f"{PREFIX}{name.upper()}": key for name, key in KEYS.items()}
    values = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == _FILE_VARIABLE:
            continue
        if variable not in known:
            raise ConfigurationError(f"unknown environment variable {variable}{_nearest(variable, known)}")
        key = known[variable]
        given = text.split(",") if key.is_list else text
        values[key.name] = key.value(given, f"the environment variable {variable}", strict=False)
    return values


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        table = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not TOML: {error}") from error
    for name in table:
        if name not in KEYS:
            raise ConfigurationError(f"{path}: unknown key {name}{_nearest(name, KEYS)}")
    return {name: KEYS[name].value(given, str(path), strict=True) for name, given in table.items()}


def _file(flag: str | None, environ: Mapping[str, str], default: Path) -> Path | None:
    named = flag or environ.get(_FILE_VARIABLE)
    if named:
        return Path(named)
    return default if default.exists() else None


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"; the nearest known one is {nearest[0]}" if nearest else ""
