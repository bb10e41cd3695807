"""Messages to the text a model was trained to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from wizardtpud.errors import BundleError, InvalidRequestError
from wizardtpud.model.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; the role is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


class PromptTemplate:
    """A chat template in the dialect of Hugging Face, rendered in Jinja's sandbox.

    Templates see ``messages``, ``add_generation_prompt`` (true: an answer is wanted) and
    ``raise_exception(message)``.

    Args:
        source: the template.

    Raises:
        BundleError: it does not compile, or cannot render a single instruction.
    """

    def __init__(self, source: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False, undefined=jinja2.StrictUndefined
        )
        environment.globals["raise_exception"] = _raise_exception
        try:
            self._template = environment.from_string(source)
            self.render([Message("user", "instruction")])
        except jinja2.TemplateSyntaxError as error:
            raise BundleError(f"{MANIFEST_NAME}: chat_template, line {error.lineno}: {error.message}") from error
        except InvalidRequestError as error:
            raise BundleError(
                f"{MANIFEST_NAME}: chat_template cannot render a single instruction: {error.__cause__}"
            ) from error

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt of a conversation.

        Raises:
            InvalidRequestError: the template refuses it, on the field ``messages``.
        """
        turns = [asdict(message) for message in messages]
        try:
            return self._template.render(messages=turns, add_generation_prompt=True)
        except Exception as error:  # a template is a program of the bundle's, and may raise anything
            raise InvalidRequestError("messages", f"the model's prompt template refuses them: {error}") from error


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateRuntimeError(message)
