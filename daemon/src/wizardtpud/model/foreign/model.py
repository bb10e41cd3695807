"""What others compiled: a bmodel, the files that the model came with, and the manifest that both tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wizardtpud.errors import BundleError
from wizardtpud.model import consistency
from wizardtpud.model.bmodel.target import read_for_chip
from wizardtpud.model.chat_template import CHAT_TEMPLATE_NAME, WIZARDCODER_CHAT_TEMPLATE, read_chat_template
from wizardtpud.model.foreign.config import CONFIG_NAME, check_numbers, read_architecture
from wizardtpud.model.foreign.discovery import discover
from wizardtpud.model.foreign.end_of_text import read_end_of_text
from wizardtpud.model.manifest import FORMAT, TOKENIZER_NAME, Manifest, NetworkLayout

BMODEL_PATTERN = "*.bmodel"
_CONFIG_DIRECTORY = "config"


@dataclass(frozen=True)
class ForeignModel:
    """A bmodel, and the directory with config.json, tokenizer.json and what else the model came with."""

    bmodel: Path
    config: Path

    @classmethod
    def find(cls, directory: Path) -> ForeignModel:
        """In a directory as llm_convert.py leaves it: a bmodel, and the other files beside it or in `config`.

        Raises:
            BundleError: there is not one bmodel.
        """
        bmodels = sorted(directory.glob(BMODEL_PATTERN))
        if len(bmodels) != 1:
            names = ", ".join(path.name for path in bmodels) or "none"
            raise BundleError(f"{directory} holds {len(bmodels)} bmodels ({names}); leave the one to serve")
        config = directory / _CONFIG_DIRECTORY
        return cls(bmodels[0], config if config.is_dir() else directory)

    @property
    def tokenizer(self) -> Path:
        return self.config / TOKENIZER_NAME

    def manifest(self, name: str, chat_template: str | None = None) -> Manifest:
        """All that a manifest says but for the files.

        Args:
            name: of the model.
            chat_template: in place of the model's own.

        Raises:
            BundleError: a file is missing, damaged or of another model, or the bmodel is for another chip or in
                no known layout.
        """
        model = read_for_chip(self.bmodel)
        try:
            found = discover(model)
        except BundleError as error:
            raise BundleError(f"{self.bmodel}: {error}") from None
        self._require(CONFIG_NAME)
        self._require(TOKENIZER_NAME)
        architecture = read_architecture(self.config, found.layout)
        try:
            check_numbers(architecture, found.numbers.context, found.numbers)
        except BundleError as error:
            raise BundleError(f"{self.bmodel}: {error}, says {self.config}; bring files of one model") from None
        manifest = Manifest(
            format=FORMAT,
            name=name,
            target="bm1684x",
            layout=found.layout,
            architecture=architecture,
            context=found.numbers.context,
            sampling=found.numbers.vocabulary is not None,
            chat_template=chat_template or self._chat_template(found.layout),
            end_of_text=read_end_of_text(self.config, architecture.vocabulary),
            files={},
            devices=model.devices,
            device_bytes=model.device_bytes,
            made_with={"bmodel": model.version},
        )
        consistency.check_model(manifest)
        return manifest

    def _require(self, name: str) -> None:
        if not (self.config / name).is_file():
            raise BundleError(f"{self.config} has no {name}; copy it there from the model's own directory")

    def _chat_template(self, layout: NetworkLayout) -> str:
        template = read_chat_template(self.config)
        if template is not None:
            return template
        if layout == "wizardcoder-tpu":
            return WIZARDCODER_CHAT_TEMPLATE
        raise BundleError(
            f"{self.config}: nothing says how the model is to be asked; put its chat template there as "
            f"{CHAT_TEMPLATE_NAME}, or name it: wizardtpu-compile import BMODEL CONFIG_DIR --chat-template FILE"
        )
