"""The manifest of a bundle, as far as it is the same for every target."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from wizardtpud.model.bmodel.model import Model
from wizardtpud.model.manifest import (
    FORMAT,
    Architecture,
    FileEntry,
    Manifest,
    NetworkEntry,
    Quantization,
    Target,
)

from wizardtpu_compile.chat_template import choose_chat_template
from wizardtpu_compile.checkpoint.checkpoint import Checkpoint
from wizardtpu_compile.options.common import BuildOptions


class ManifestMaker:
    """Checks at once what a manifest takes from checkpoint and options: a build cannot fail on it later."""

    def __init__(self, checkpoint: Checkpoint, options: BuildOptions) -> None:
        self._checkpoint = checkpoint
        self.name = options.name or checkpoint.directory.resolve().name
        self.context = options.checked_context(checkpoint.config)
        self.chat_template = choose_chat_template(checkpoint.directory, options.chat_template)

    def make(  # noqa: PLR0917
        self,
        target: Target,
        quantization: Quantization,
        networks: Iterable[NetworkEntry],
        files: dict[str, FileEntry],
        tools: dict[str, str],
        model: Model | None = None,
    ) -> Manifest:
        """The whole manifest; `tools` are the versions of what was used besides this, `model` the bmodel."""
        return Manifest(
            format=FORMAT,
            name=self.name,
            target=target,
            architecture=architecture_of(self._checkpoint),
            quantization=quantization,
            context=self.context,
            chat_template=self.chat_template,
            end_of_text=self._checkpoint.end_of_text,
            networks=list(networks),
            files=files,
            devices=model.devices if model else 1,
            device_bytes=model.device_bytes if model else None,
            made_with={"wizardtpu-compile": version("wizardtpu-compile"), **tools},
        )


def architecture_of(checkpoint: Checkpoint) -> Architecture:
    """The numbers of a checkpoint's network."""
    config = checkpoint.config
    return Architecture(
        family=config.model_type,
        layers=config.n_layer,
        hidden=config.n_embd,
        heads=config.n_head,
        kv_heads=1,
        head_dim=config.head_dim,
        inner=config.inner,
        vocabulary=config.vocab_size,
        positions=config.n_positions,
    )
