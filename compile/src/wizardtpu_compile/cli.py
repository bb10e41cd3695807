"""The `wizardtpu-compile` command."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from wizardtpud.errors import BundleError
from wizardtpud.model.bundle import Bundle

from wizardtpu_compile.errors import CompileError, OptionError, reason
from wizardtpu_compile.inspect import describe
from wizardtpu_compile.interruption import ends_at_once
from wizardtpu_compile.options import GROUP_SIZES, BuildOptions
from wizardtpu_compile.progress import person_progress

if TYPE_CHECKING:
    from wizardtpu_compile.build import BuildResult

_BROKEN_PIPE = 141  # as the shell has it for a process that SIGPIPE ended
_EXIT_CODES = """exit codes:
  0    done
  1    the checkpoint, the bundle or the disk is not as it must be
  2    an option is wrong, or does not fit the checkpoint
  130  interrupted; nothing half-written remains
  141  standard output was closed by its reader
"""
_BUILD_EXAMPLE = """example:
  wizardtpu-compile build ./WizardCoder-1B-V1.0 --target cpu --quantize int4 --context 2048 -o ./wizardcoder-1b
"""


def main() -> None:
    """Runs the command; every failure that has a cause outside this program is one line on standard error."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except CompileError as error:
        _fail(str(error), error.exit_code)
    except BundleError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush complains
        sys.exit(_BROKEN_PIPE)
    except OSError as error:
        _fail(reason(error), 1)


def _fail(message: str, code: int) -> None:
    print(f"wizardtpu-compile: {message}", file=sys.stderr)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="wizardtpu-compile",
        description="Turns GPTBigCode checkpoints into bundles that wizardtpud serves.",
        epilog=_EXIT_CODES,
        formatter_class=form,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('wizardtpu-compile')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    build = commands.add_parser(
        "build",
        help="make a bundle from a checkpoint",
        description="Makes a bundle from a checkpoint directory of Hugging Face (config.json, tokenizer.json, "
        "safetensors or .bin files), and compares every network of it with the checkpoint.",
        epilog=_BUILD_EXAMPLE + "\n" + _EXIT_CODES,
        formatter_class=form,
    )
    _add_build_options(build)
    inspect = commands.add_parser(
        "inspect", help="check a bundle and show what it holds", epilog=_EXIT_CODES, formatter_class=form
    )
    inspect.add_argument("bundle", type=Path, metavar="BUNDLE", help="bundle directory")
    inspect.add_argument("--json", action="store_true", help="print the manifest and the bundle's digest as JSON")
    inspect.set_defaults(run=_inspect)
    return parser


def _add_build_options(parser: argparse.ArgumentParser) -> None:
    defaults = BuildOptions()
    add = parser.add_argument
    add("checkpoint", type=Path, metavar="CHECKPOINT", help="checkpoint directory")
    add("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle directory to make")
    add("--target", choices=["cpu"], required=True, help="what will run the bundle")
    add(
        "--quantize",
        choices=["f32", "int8", "int4"],
        default=defaults.quantize,
        help="precision of the weights of the layers; the output projection is int8 if this is not f32, "
        "the embedding always f32 (default: %(default)s)",
    )
    add(
        "--group-size",
        type=int,
        default=defaults.group_size,
        metavar="N",
        help=f"quantized weights that share a scale: {', '.join(map(str, GROUP_SIZES))} (default: %(default)s)",
    )
    add(
        "--context",
        type=int,
        metavar="N",
        help="tokens of prompt and answer together (default: all positions the model was trained for)",
    )
    add(
        "--prefill-chunks",
        type=_numbers,
        default=defaults.prefill_chunks,
        metavar="N,N,...",
        help="how many tokens of a prompt one step may take; those not below the context are left out "
        f"(default: {','.join(map(str, defaults.prefill_chunks))})",
    )
    add("--name", type=_name, help="the model's name (default: name of the checkpoint directory)")
    add(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="Jinja template that turns messages into a prompt (default: the checkpoint's, else WizardCoder's)",
    )
    add("--force", action="store_true", help="replace the bundle that is there")
    add("--json", action="store_true", help="print the result as JSON")
    add("-v", "--verbose", action="store_true", help="tell size and similarity of each network")
    parser.set_defaults(run=_build)


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a name is needed")
    return text


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as 8,64,256") from None


def _build(arguments: argparse.Namespace) -> None:
    # onnx and onnxruntime take half a second: neither --help nor a wrong option needs them.
    with ends_at_once():
        from wizardtpu_compile.build import build_bundle  # noqa: PLC0415

    options = BuildOptions(
        quantize=arguments.quantize,
        group_size=arguments.group_size,
        context=arguments.context,
        prefill_chunks=arguments.prefill_chunks,
        name=arguments.name,
        chat_template=None if arguments.chat_template is None else _read_text(arguments.chat_template),
        force=arguments.force,
    )
    progress = functools.partial(person_progress, verbose=arguments.verbose)
    result = build_bundle(arguments.checkpoint, arguments.output, options, progress)
    print(_as_json(result) if arguments.json else _summary(result), flush=True)


def _inspect(arguments: argparse.Namespace) -> None:
    bundle = Bundle.open(arguments.bundle)
    if arguments.json:
        print(msgspec.json.encode({"digest": bundle.digest, "manifest": bundle.manifest}).decode(), flush=True)
    else:
        print(*describe(bundle), sep="\n", flush=True)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = reason(error) if isinstance(error, OSError) else f"{path}: it is not UTF-8 text"
        raise OptionError(f"--chat-template cannot be read: {cause}") from None


def _size(result: BuildResult) -> int:
    return sum(entry.bytes for entry in result.manifest.files.values())


def _summary(result: BuildResult) -> str:
    manifest = result.manifest
    worst = min(result.similarity, key=result.similarity.__getitem__)
    return (
        f"{result.directory}: {manifest.name}, {manifest.quantization.blocks}, context {manifest.context}, "
        f"{_size(result) / 1e6:.1f} MB in {result.seconds:.1f} s\n"
        f"verified against the checkpoint: lowest cosine {result.similarity[worst]:.6f} ({worst})"
    )


def _as_json(result: BuildResult) -> str:
    summary = {
        "bundle": str(result.directory),
        "name": result.manifest.name,
        "target": result.manifest.target,
        "quantization": result.manifest.quantization,
        "context": result.manifest.context,
        "bytes": _size(result),
        "networks": len(result.manifest.networks),
        "similarity": result.similarity,
        "seconds": round(result.seconds, 3),
    }
    return msgspec.json.encode(summary).decode()
