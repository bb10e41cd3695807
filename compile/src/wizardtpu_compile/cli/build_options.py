"""The options of `wizardtpu-compile build`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from wizardtpu_compile.cli.texts import numbers
from wizardtpu_compile.errors import OptionError, reason
from wizardtpu_compile.options import CpuOptions, TpuOptions
from wizardtpu_compile.options.cpu import GROUP_SIZES
from wizardtpu_compile.options.tpu import DEVICE_COUNTS

_TARGETS: dict[str, type[CpuOptions] | type[TpuOptions]] = {"cpu": CpuOptions, "bm1684x": TpuOptions}
_PRECISIONS = {"cpu": ("f32", "int8", "int4"), "bm1684x": ("f16", "bf16", "int8", "int4")}
_OF_NO_TARGET = {"checkpoint", "output", "target", "json", "verbose", "run"}
_SPELLINGS = {"verify_tokens": "--verify", "check_networks": "--check"}


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options; an option that was not given has the target's default, so there are none here."""
    _add_common(parser)
    _add_tpu(parser.add_argument_group("for --target bm1684x"))


def chosen_options(given: dict[str, Any]) -> CpuOptions | TpuOptions:
    """The options of the target.

    Raises:
        OptionError: one is for another target, or a file that an option names cannot be read.
    """
    target = given["target"]
    kind = _TARGETS[target]
    known = (
        {field.name for field in fields(kind)} | _OF_NO_TARGET | ({"toolchain"} if kind is TpuOptions else set())
    )
    if others := [name for name in given if name not in known]:
        option = _SPELLINGS.get(others[0], f"--{others[0].replace('_', '-')}")
        raise OptionError(f"{option} is not for --target {target}")
    chosen = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    if "chat_template" in chosen:
        chosen["chat_template"] = read_template(chosen["chat_template"])
    if chosen.get("quantize", _PRECISIONS[target][0]) not in _PRECISIONS[target]:
        raise OptionError(
            f"--quantize {chosen['quantize']} is not for --target {target}: "
            f"choose {', '.join(_PRECISIONS[target])}"
        )
    return kind(**chosen)


def _add_common(parser: argparse.ArgumentParser) -> None:
    cpu, tpu = CpuOptions(), TpuOptions()
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint directory")
    add("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle directory to make")
    add("--target", choices=_TARGETS, required=True, help="what will run the bundle")
    add(
        "--quantize",
        choices=["f32", "f16", "bf16", "int8", "int4"],
        help="precision of the weights of the layers: f32, int8 or int4 on the CPU, where the output projection "
        "is int8 if this is not f32 and the embedding is always f32; f16, bf16, int8 or int4 on the chip "
        f"(default: {cpu.quantize}; {tpu.quantize} for bm1684x)",
    )
    add(
        "--group-size",
        type=int,
        metavar="N",
        help="quantized weights that share a scale; "
        f"on the CPU: {', '.join(map(str, GROUP_SIZES))} (default: {cpu.group_size})",
    )
    add(
        "--context",
        type=int,
        metavar="N",
        help="tokens of prompt and answer together (default: all positions the model was trained for)",
    )
    add(
        "--prefill-chunks",
        type=numbers,
        metavar="N,N,...",
        help="how many tokens of a prompt one step may take; those not below the context are left out "
        f"(default: {_list(cpu.prefill_chunks)}; {_list(tpu.prefill_chunks)} for bm1684x)",
    )
    add("--layers-per-net", type=int, metavar="N", help="layers that one network computes (default: 1)")
    add("--name", type=model_name, help="the model's name (default: name of the checkpoint directory)")
    add(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="Jinja template that turns messages into a prompt (default: the checkpoint's, else WizardCoder's)",
    )
    add("--force", action="store_true", help="replace the bundle, or the bmodel, that is there")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="tell about each network")


def _add_tpu(group: Any) -> None:
    tpu = TpuOptions()
    add = group.add_argument
    add(
        "--verify",
        dest="verify_tokens",
        type=int,
        metavar="N",
        help=_default("drafted tokens that one step can verify; 0: none", tpu.verify_tokens),
    )
    add("--slots", type=int, metavar="N", help=_default("sequences that one step can decode together", tpu.slots))
    add(
        "--activations",
        choices=["f16", "bf16"],
        help="type of everything that is not a weight (default: bf16 with --quantize bf16, else f16)",
    )
    add(
        "--lm-head",
        choices=["f16", "bf16", "int8", "int4"],
        help="precision of the output projection (default: int8 if the layers are quantized, else as they are)",
    )
    add("--embedding", choices=["f16", "bf16"], help="type of the embedding (default: that of the activations)")
    add(
        "--num-device",
        type=int,
        metavar="N",
        help=_default(
            f"chips that load the bundle together: {_list(DEVICE_COUNTS)}; the vendor's compiler does not divide "
            "layers of this architecture, so each would hold all of them",
            tpu.num_device,
        ),
    )
    add("--only-layer", type=int, metavar="I", help="make a bmodel of this layer alone; -o names its file")
    add(
        "--frontend",
        choices=["direct", "onnx"],
        help=_default("onnx: by way of the vendor's own importer, slowly, for comparison", tpu.frontend),
    )
    add(
        "--layout",
        choices=["wizardtpu", "wizardcoder-tpu"],
        help=_default(
            "wizardcoder-tpu: the networks that the original demo loads, with --frontend onnx; -o names a bmodel",
            tpu.layout,
        ),
    )
    add(
        "--check",
        dest="check_networks",
        choices=["auto", "none", "all"],
        help=_default("networks to run on the simulator; auto: if that takes seconds", tpu.check_networks),
    )
    add("--jobs", type=int, metavar="N", help="steps at once (default: one for each CPU, as memory allows)")
    add("--toolchain", type=Path, metavar="DIR", help="where the vendor's compiler is installed")


def _default(text: str, value: object) -> str:
    return f"{text} (default: {value})"


def _list(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def model_name(text: str) -> str:
    """An option's name of a model."""
    if not text.strip():
        raise argparse.ArgumentTypeError("a name is needed")
    return text


def read_template(path: Path) -> str:
    """The chat template in the file that an option names.

    Raises:
        OptionError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = reason(error) if isinstance(error, OSError) else f"{path}: it is not UTF-8 text"
        raise OptionError(f"--chat-template cannot be read: {cause}") from None
