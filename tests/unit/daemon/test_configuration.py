from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from wizardtpud.device.choice import DeviceKind
from wizardtpud.errors import ConfigurationError
from wizardtpud.service.address import TcpAddress
from wizardtpud.service.arguments import PREFIX, parse
from wizardtpud.service.configuration import KEYS, Configuration
from wizardtpud.service.device_groups import DeviceGroups

NO_FILE = Path("/nonexistent/wizardtpud.toml")

# Every key with a value other than its default, as a flag or variable gives it, and in TOML.
OTHER = {
    "bundle": ("/b", '"/b"'),
    "listen": ("[::1]:1,unix:/s", '["[::1]:1", "unix:/s"]'),
    "metrics": ("off", '"off"'),
    "device": ("simulator", '"simulator"'),
    "library": ("/l", '"/l"'),
    "devices": ("0 1 2,3", "[[0], [1], [2, 3]]"),
    "lock_directory": ("/k", '"/k"'),
    "slots": ("3", "3"),
    "queue_capacity": ("4", "4"),
    "stream_buffer": ("16", "16"),
    "step_seconds": ("off", '"off"'),
    "load_seconds": ("1200", "1200"),
    "drain_seconds": ("0.5", "0.5"),
    "threads": ("2", "2"),
    "log_level": ("debug", '"debug"'),
    "log_format": ("json", '"json"'),
    "log_prompts": ("true", "true"),
}
EXPECTED = Configuration(
    bundle=Path("/b"),
    listen=(TcpAddress("[::1]:1"), TcpAddress("unix:/s")),
    metrics=None,
    device="simulator",
    library=Path("/l"),
    devices=DeviceGroups(((0,), (1,), (2, 3))),
    lock_directory=Path("/k"),
    slots=3,
    queue_capacity=4,
    stream_buffer=16,
    step_seconds=None,
    load_seconds=1200.0,
    drain_seconds=0.5,
    threads=2,
    log_level="debug",
    log_format="json",
    log_prompts=True,
)


def parsed(*argv: str, **environ: str) -> Configuration:
    return parse(argv, environ, NO_FILE)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def flags_of(values: dict[str, tuple[str, str]]) -> list[str]:
    flags = []
    for name, (text, _) in values.items():
        flag = f"--{name.replace('_', '-')}"
        items = text.split(",") if name == "listen" else [text]
        flags += [flag] if text == "true" else [part for item in items for part in (flag, item)]
    return flags


def test_the_cases_here_cover_every_key() -> None:
    assert OTHER.keys() == KEYS.keys()


def test_every_device_that_can_be_loaded_can_be_configured() -> None:
    devices = sorted(["auto", *get_args(DeviceKind)])
    assert KEYS["device"].allowed == " or ".join(f'"{device}"' for device in devices)


def test_defaults_are_local_and_need_only_a_bundle() -> None:
    assert parsed("--bundle", "b") == Configuration(bundle=Path("b"))
    assert Configuration(bundle=Path("b")).listen == ("127.0.0.1:50051",)
    assert Configuration(bundle=Path("b")).metrics == "127.0.0.1:9464"


def test_every_key_is_a_flag() -> None:
    assert parsed(*flags_of(OTHER)) == EXPECTED


def test_every_key_is_an_environment_variable() -> None:
    assert parsed(**{f"{PREFIX}{name.upper()}": text for name, (text, _) in OTHER.items()}) == EXPECTED


def test_every_key_is_a_line_of_the_file(tmp_path: Path) -> None:
    text = "".join(f"{name} = {toml}\n" for name, (_, toml) in OTHER.items())

    assert parsed("--config", str(written(tmp_path / "c.toml", text))) == EXPECTED


def test_flags_win_over_variables_and_those_over_the_file(tmp_path: Path) -> None:
    path = str(written(tmp_path / "c.toml", 'bundle = "file"\nslots = 2\nthreads = 2\n'))
    configuration = parse(["--slots", "4"], {"WIZARDTPUD_SLOTS": "3", "WIZARDTPUD_THREADS": "3"}, Path(path))

    assert (configuration.bundle, configuration.threads, configuration.slots) == (Path("file"), 3, 4)


def test_a_list_given_closer_replaces_the_farther_one(tmp_path: Path) -> None:
    path = str(written(tmp_path / "c.toml", 'bundle = "b"\nlisten = ["h:1", "h:2"]\n'))

    assert parsed("--config", path, "--listen", "h:3").listen == ("h:3",)


def test_a_named_file_replaces_the_default_file(tmp_path: Path) -> None:
    default = written(tmp_path / "default.toml", 'bundle = "default"\nslots = 2\n')
    named = written(tmp_path / "named.toml", 'bundle = "named"\n')

    assert parse([], {}, default) == Configuration(bundle=Path("default"), slots=2)
    assert parse([], {"WIZARDTPUD_CONFIG": str(named)}, default) == Configuration(bundle=Path("named"))
    assert parse(["--config", str(named)], {}, default) == Configuration(bundle=Path("named"))


def test_other_peoples_variables_do_not_matter() -> None:
    assert parsed("--bundle", "b", WIZARDTPU_ADDRESS="h:1", PATH="/bin") == Configuration(bundle=Path("b"))


@pytest.mark.parametrize("off", ["", "off"])
def test_metrics_can_be_switched_off(off: str) -> None:
    assert parsed("--bundle", "b", "--metrics", off).metrics is None


def test_a_switch_that_is_on_in_the_environment_can_be_switched_off() -> None:
    assert not parsed("--bundle", "b", "--no-log-prompts", WIZARDTPUD_LOG_PROMPTS="true").log_prompts


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--slts", "3"], "unknown flag --slts; the nearest known one is --slots"),
        (["--queue_capacity=3"], "unknown flag --queue_capacity=3; the nearest known one is --queue-capacity"),
        (["--slot", "3"], "unknown flag --slot; the nearest known one is --slots"),
        (["bundle"], "unexpected argument 'bundle'"),
        (["--slots"], "argument --slots: expected one argument; see wizardtpud --help"),
        ([], f"no bundle to serve: give --bundle DIR, WIZARDTPUD_BUNDLE=DIR, or bundle in {NO_FILE}"),
        (
            ["--slots", "three"],
            "slots, from the flag --slots: 'three' is not allowed; it must be a whole number from 1",
        ),
        (
            ["--slots", "0"],
            "slots, from the flag --slots: '0' is not allowed; it must be a whole number from 1 to 1024",
        ),
        (["--slots", "1.5"], "'1.5' is not allowed"),
        (["--step-seconds", "0"], "'0' is not allowed; it must be a number from 1 to 86400, or off"),
        (["--drain-seconds", "nan"], "'nan' is not allowed; it must be a number from 0 to 86400"),
        (["--drain-seconds", "-1"], "'-1' is not allowed"),
        (["--drain-seconds", "inf"], "'inf' is not allowed"),
        (["--device", "bm1684x"], "'bm1684x' is not allowed; it must be \"auto\" or"),
        (["--log-level", "loud"], 'it must be "debug" or "error" or "info" or "warning"'),
        (["--bundle", ""], "bundle, from the flag --bundle: '' is not allowed"),
        (["--bundle", "a\nb"], "'a\\nb' is not allowed"),
        (["--metrics", "unix:/m"], "metrics, from the flag --metrics: 'unix:/m' is not allowed"),
        (["--config", "/nonexistent/c.toml"], "/nonexistent/c.toml: No such file or directory"),
        (["--config", "/"], "/: Is a directory"),
    ],
)
def test_wrong_flags_are_explained(argv: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        parsed(*argv)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "WIZARDTPUD_SLOT",
            "3",
            "unknown environment variable WIZARDTPUD_SLOT; the nearest known one is WIZARDTPUD_SLOTS",
        ),
        ("WIZARDTPUD_SLOTS", "x", "slots, from the environment variable WIZARDTPUD_SLOTS: 'x' is not allowed"),
        ("WIZARDTPUD_LOG_PROMPTS", "maybe", "'maybe' is not allowed; it must be true or false"),
        ("WIZARDTPUD_LISTEN", "h:1,,h:2", "listen, from the environment variable WIZARDTPUD_LISTEN"),
    ],
)
def test_wrong_variables_are_explained(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        parsed("--bundle", "b", **{variable: value})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slots = x", "not TOML: Invalid value (at line 1"),
        ("queue-capacity = 3", "unknown key queue-capacity; the nearest known one is queue_capacity"),
        ("[server]\nslots = 1", "unknown key server"),
        ('slots = "3"', "'3' is not allowed; it must be a whole number from 1 to 1024"),
        ("slots = 1.5", "1.5 is not allowed"),
        ("slots = true", "True is not allowed"),
        ("drain_seconds = nan", "nan is not allowed"),
        ("log_prompts = 1", "1 is not allowed; it must be true or false"),
        ('listen = "h:1"', "'h:1' is not allowed; it must be a list of host:port"),
        ("listen = []", "[] is not allowed"),
        ("listen = [1]", "[1] is not allowed"),
        ("bundle = 2026-01-01", "is not allowed (expected printable text); it must be a path"),
    ],
)
def test_wrong_files_are_explained(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "c.toml", text)

    with pytest.raises(ConfigurationError, match=f"{re.escape(str(path))}.*{re.escape(message)}"):
        parsed("--config", str(path))


def test_a_file_that_is_not_utf_8_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b'bundle = "\xff"')

    with pytest.raises(ConfigurationError, match="not TOML"):
        parsed("--config", str(path))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("50051", "a host and a port are needed"),
        (":50051", "a host and a port are needed"),
        ("", "expected printable text"),
        ("h:", "the port must be a number from 0 to 65535"),
        ("h:65536", "the port must be a number from 0 to 65535"),
        ("h:-1", "the port must be a number from 0 to 65535"),
        ("h:²", "the port must be a number from 0 to 65535"),
        ("::1:50051", "an IPv6 address needs brackets, as in [::1]:50051"),
        ("[::g]:1", "'::g' is not an IPv6 address"),
        ("[127.0.0.1]:1", "'127.0.0.1' is not an IPv6 address"),
        ("a b:1", "'a b' is not a host name or address"),
        ("http://h:1", "an IPv6 address needs brackets"),
        ("unix:socket", "the path of a socket must be absolute"),
        ("unix:", "the path of a socket must be absolute"),
        ("unix:/run/", "the path of a socket must be absolute"),
        ("unix:/" + "é" * 54, "the path of a socket may have at most 107 bytes"),
    ],
)
def test_wrong_addresses_are_explained(address: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"({reason}")):
        parsed("--bundle", "b", "--listen", address)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:65535", "::1", 65535), ("tpu-box.local:80", "tpu-box.local", 80)],
)
def test_host_and_port_of_an_address(address: str, host: str, port: int) -> None:
    metrics = parsed("--bundle", "b", "--metrics", address).metrics

    assert metrics is not None
    assert (metrics.host, metrics.port, str(metrics)) == (host, port, address)


def test_the_longest_path_of_a_socket() -> None:
    address = "unix:/" + "s" * 106

    assert parsed("--bundle", "b", "--listen", address).listen == (address,)


@pytest.mark.parametrize("argv", [["--bundle", 'a "quoted\\ pâth'], flags_of(OTHER)])
def test_the_printed_configuration_is_the_one_in_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parsed(*argv, "--print-config")
    path = written(tmp_path / "c.toml", capsys.readouterr().out)

    assert exit_.value.code == 0
    assert parsed("--config", str(path)) == parsed(*argv)


def test_the_printed_configuration_explains_every_key_and_needs_no_bundle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed("--print-config")
    text = capsys.readouterr().out

    for name, key in KEYS.items():
        assert re.search(f"^(# )?{name} = ", text, re.MULTILINE)
        assert key.description[:40] in text


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parsed("--help")
    text = " ".join(capsys.readouterr().out.split())

    assert exit_.value.code == 0
    assert all(f"--{name.replace('_', '-')}" in text for name in KEYS)
    assert 'Default: ["127.0.0.1:50051"]' in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parsed("--version")

    assert exit_.value.code == 0
    assert re.fullmatch(r"wizardtpud \d+\.\d+\.\d+\n", capsys.readouterr().out)
