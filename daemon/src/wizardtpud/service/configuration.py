"""Every key of the configuration: its type, its default, what it may be and what it is for.

The file, the environment, the flags, the help and the printed file are all made from this one definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import NODEFAULT, Meta, inspect

from wizardtpud.device.lock import DEFAULT_DIRECTORY
from wizardtpud.errors import ConfigurationError
from wizardtpud.service.address import Address, TcpAddress
from wizardtpud.service.device_groups import DeviceGroups


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the daemon is told; see the descriptions of the keys."""

    bundle: Annotated[Path, Meta(description="Directory of the bundle to serve.")]
    listen: Annotated[
        tuple[Address, ...],
        Meta(
            min_length=1,
            description="Where to serve gRPC. A flag may be repeated; a variable separates by commas.",
        ),
    ] = (TcpAddress("127.0.0.1:50051"),)
    metrics: Annotated[TcpAddress | None, Meta(description="Where to serve Prometheus metrics over HTTP.")] = (
        TcpAddress("127.0.0.1:9464")
    )
    device: Annotated[
        Literal["auto", "sail", "bmrt", "simulator", "cpu"],
        Meta(
            description="What runs the model: sophon-sail, the vendor's runtime without it, the vendor's "
            "simulator of a chip (slow), or the CPU. auto takes what the bundle needs and the machine has, but "
            "never the simulator."
        ),
    ] = "auto"
    library: Annotated[
        Path | None,
        Meta(description="Directory of the vendor's libraries, where they are not in their usual place."),
    ] = None
    devices: Annotated[
        DeviceGroups,
        Meta(
            description="Numbers of the devices, in groups: the devices of a group run one copy of the model "
            "together. On the CPU a group is one copy."
        ),
    ] = DeviceGroups(((0,),))
    lock_directory: Annotated[
        Path, Meta(description="Where daemons lock devices, so that no two use the same one.")
    ] = DEFAULT_DIRECTORY
    slots: Annotated[
        int, Meta(ge=1, le=1024, description="How many requests each group of devices serves at a time.")
    ] = 1
    queue_capacity: Annotated[
        int, Meta(ge=1, le=1_000_000, description="How many requests may wait; more are refused.")
    ] = 64
    stream_buffer: Annotated[
        int, Meta(ge=16, le=1_000_000, description="How many events a client may read late before it is cut off.")
    ] = 256
    step_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=86_400)] | None,
        Meta(
            description="How long a step of all running requests may take; after that the device counts as hung."
        ),
    ] = 60.0
    load_seconds: Annotated[
        Annotated[float, Meta(ge=1, le=86_400)] | None,
        Meta(description="How long loading the model, or closing it, may take; likewise."),
    ] = 600.0
    drain_seconds: Annotated[
        float, Meta(ge=0, le=86_400, description="How long accepted requests may take to finish after SIGTERM.")
    ] = 30.0
    threads: Annotated[int, Meta(ge=0, le=4096, description="Threads of the CPU device; 0 is one per core.")] = 0
    log_level: Annotated[
        Literal["error", "warning", "info", "debug"], Meta(description="The least important messages to log.")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="How to write the log to stderr.")] = "text"
    log_prompts: Annotated[bool, Meta(description="Whether prompts appear in the log.")] = False


@dataclass(frozen=True)
class Key:
    """A key as the sources and the help need it.

    Attributes:
        allowed: what its value may be, in words.
        default: absent for a key that must be set.
    """

    name: str
    description: str
    allowed: str
    default: Any
    type: Any
    form: inspect.Type

    @property
    def required(self) -> bool:
        return self.default is NODEFAULT

    @property
    def is_list(self) -> bool:
        return isinstance(self.form, inspect.VarTupleType)

    @property
    def is_switch(self) -> bool:
        return isinstance(self.form, inspect.BoolType)

    def value(self, given: object, origin: str, *, strict: bool) -> Any:
        """What was given, as the key's type.

        Args:
            given: text, or a value of TOML.
            origin: where it was given, for the error.
            strict: whether text stands for text alone, and not for a number or a truth value.

        Raises:
            ConfigurationError: it is not allowed.
        """
        if isinstance(self.form, inspect.UnionType) and given in ("", "off"):
            return None
        try:
            return msgspec.convert(given, self.type, strict=strict, dec_hook=_own_type)
        except msgspec.ValidationError as error:
            reason = f" ({error.__cause__})" if error.__cause__ else ""
            raise ConfigurationError(
                f"{self.name}, from {origin}: {given!r} is not allowed{reason}; it must be {self.allowed}"
            ) from error


def _own_type(kind: Any, given: object) -> object:
    if kind is DeviceGroups and isinstance(given, list):
        return DeviceGroups.parse(given)
    if not isinstance(given, str) or not given.isprintable() or not given:
        raise ValueError("expected printable text")
    return Path(given) if kind is Path else kind.parse(given)


_WORDS: dict[type, str] = {
    Path: "a path",
    Address: "host:port, [IPv6]:port or unix:/path",
    TcpAddress: "host:port or [IPv6]:port",
    DeviceGroups: 'groups as in [[0], [1], [2, 3]] or, the same, "0 1 2,3"',
}


def _allowed(form: inspect.Type) -> str:
    match form:
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high):
            number = "a whole number" if isinstance(form, inspect.IntType) else "a number"
            return f"{number} from {low} to {high}"
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return " or ".join(f'"{value}"' for value in values)
        case inspect.VarTupleType(item_type=item):
            return f"a list of {_allowed(item)}"
        case inspect.UnionType(types=(kind, *_)):
            return f"{_allowed(kind)}, or off"
        case inspect.CustomType(cls=cls):
            return _WORDS[cls]
    raise TypeError(f"no words for {form}")


def _key(field: msgspec.structs.FieldInfo) -> Key:
    described = inspect.type_info(field.type)
    match described:
        case inspect.Metadata(type=form, extra_json_schema={"description": str(description)}):
            return Key(field.name, description, _allowed(form), field.default, field.type, form)
    raise TypeError(f"{field.name} has no description")


KEYS = {field.name: _key(field) for field in msgspec.structs.fields(Configuration)}
"""Every key by name, in the order of the help and of the printed file."""
