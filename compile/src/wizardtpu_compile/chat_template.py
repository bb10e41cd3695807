"""The prompt template of a bundle."""

from __future__ import annotations

from pathlib import Path

from wizardtpud.errors import BundleError
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE, read_chat_template
from wizardtpud.model.manifest import MANIFEST_NAME
from wizardtpud.text.prompt_template import Message, PromptTemplate

from wizardtpu_compile.errors import CheckpointError, OptionError


def choose_chat_template(directory: Path, given: str | None) -> str:
    """The template of a bundle: the given one, else the checkpoint's own, else WizardCoder's.

    Raises:
        OptionError: the given one cannot make a prompt.
        BundleError: the checkpoint's cannot be read.
        CheckpointError: it cannot make a prompt.
    """
    if given is not None:
        check_given(given)
        return given
    source = read_chat_template(directory)
    if source is None:
        return WIZARDCODER_CHAT_TEMPLATE
    check_own(source, directory)
    return source


def check_given(template: str) -> None:
    """Refuses a template of the command line that cannot make a prompt.

    Raises:
        OptionError: says why.
    """
    if fault := _fault(template):
        raise OptionError(f"--chat-template{fault}")


def check_own(template: str, directory: Path) -> None:
    """Refuses a template that a model came with and that cannot make a prompt.

    Raises:
        CheckpointError: says why.
    """
    if fault := _fault(template):
        raise CheckpointError(f"{directory}: its chat template{fault}")


def _fault(template: str) -> str | None:
    """What is wrong with a chat template, as the end of a sentence about it."""
    probe = "write quicksort"
    try:
        prompt = PromptTemplate(template).render([Message("user", probe)])
    except BundleError as error:
        return str(error).removeprefix(f"{MANIFEST_NAME}: chat_template")
    return None if probe in prompt else " makes a prompt that leaves out the instruction"
