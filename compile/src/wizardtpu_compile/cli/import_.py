"""`wizardtpu-compile import`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wizardtpu_compile.cli.build_options import model_name, read_template
from wizardtpu_compile.cli.texts import EXIT_CODES, Help
from wizardtpu_compile.interruption import ends_at_once

if TYPE_CHECKING:
    from wizardtpu_compile.importing import ImportResult

_ABOUT = """Makes a bundle of a bmodel that was compiled by other means, so that wizardtpud can serve it and knows
it again: the manifest holds the sha256 of every file, the numbers of the model and its prompt template.

Two kinds of bmodels can be served, told by the names and shapes of their networks:
  llm-convert      what the vendor's llm_convert.py makes of Qwen2, Qwen3, Llama and their relatives for
                   bm1684x, also with --dynamic, --use_history_kv or --do_sample; not with --batch or
                   --embedding_disk. Without --do_sample decoding is greedy
  wizardcoder-tpu  that of the original WizardCoder demonstration; greedy

CONFIG_DIR is the `config` directory that llm_convert.py leaves beside the bmodel, or the model's own:
  config.json             must fit the shapes of the networks
  tokenizer.json          byte-level BPE
  generation_config.json  optional; its eos_token_id ends answers, and so do those that config.json and
                          tokenizer_config.json name
  chat_template.jinja, chat_template.json or tokenizer_config.json
                          the prompt template; WizardCoder needs none
"""
_EXAMPLES = """examples:
  llm_convert.py -m ./Qwen2.5-Coder-1.5B-Instruct -s 2048 -q w4bf16 -c bm1684x --do_sample -o ./qwen
  wizardtpu-compile import ./qwen/qwen*.bmodel ./qwen/config -o ./qwen-bundle --name qwen2.5-coder-1.5b
  wizardtpud --bundle ./qwen-bundle

wizardtpud --bundle ./qwen serves the directory as it is, too, but then nobody vouches for its files.
"""


def add_import_command(commands: Any) -> None:
    """Adds the command to a parser's."""
    parser = commands.add_parser(
        "import",
        help="make a bundle of a bmodel that others compiled",
        description=_ABOUT,
        epilog=_EXAMPLES + "\n" + EXIT_CODES,
        formatter_class=Help,
    )
    add = parser.add_argument
    add("bmodel", type=Path, metavar="BMODEL", help="the bmodel; it is linked into the bundle, or copied")
    add("config", type=Path, metavar="CONFIG_DIR", help="directory with config.json and tokenizer.json")
    add("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle directory to make")
    add("--name", type=model_name, help="the model's name (default: name of the bmodel's directory)")
    add(
        "--chat-template",
        type=Path,
        metavar="FILE",
        help="Jinja template that turns messages into a prompt (default: the model's)",
    )
    add("--force", action="store_true", help="replace the bundle that is there")
    add("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_import)


def _import(arguments: argparse.Namespace) -> None:
    with ends_at_once():
        from wizardtpud.model.foreign.model import ForeignModel  # noqa: PLC0415

        from wizardtpu_compile.importing import ImportOptions, import_model  # noqa: PLC0415
        from wizardtpu_compile.stage_progress import person_progress  # noqa: PLC0415

    template = None if arguments.chat_template is None else read_template(arguments.chat_template)
    options = ImportOptions(arguments.name, template, arguments.force)
    progress = person_progress()
    try:
        result = import_model(
            ForeignModel(arguments.bmodel, arguments.config), arguments.output, options, progress
        )
    finally:
        progress.close()
    print(_as_json(result) if arguments.json else _summary(result), flush=True)


def _summary(result: ImportResult) -> str:
    manifest = result.manifest
    return (
        f"{result.directory}: {manifest.name}, {manifest.architecture.family} in the layout {manifest.layout}, "
        f"context {manifest.context}, {'sampling' if manifest.sampling else 'greedy only'}, "
        f"{manifest.size / 1e6:.1f} MB in {result.seconds:.1f} s\n"
        f"loading takes {(manifest.device_bytes or 0) / 1e6:.1f} MB on each of its devices ({manifest.devices})"
    )


def _as_json(result: ImportResult) -> str:
    manifest = result.manifest
    summary = {
        "bundle": str(result.directory),
        "name": manifest.name,
        "architecture": manifest.architecture.family,
        "layout": manifest.layout,
        "context": manifest.context,
        "sampling": manifest.sampling,
        "devices": manifest.devices,
        "device_bytes": manifest.device_bytes,
        "bytes": manifest.size,
        "seconds": round(result.seconds, 3),
    }
    return msgspec.json.encode(summary).decode()
