"""Messages to the text a model was trained to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import jinja2

from wizardtpud.errors import BundleError, InvalidRequestError
from wizardtpud.model.manifest import MANIFEST_NAME
from wizardtpud.text.template_environment import make_environment


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; the role is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


class PromptTemplate:
    """A chat template in the dialect of Hugging Face, rendered in Jinja's sandbox.

    Templates see ``messages``, ``add_generation_prompt`` (true: an answer is wanted), ``tools`` and ``documents``
    (none), and what `template_environment` adds.

    Args:
        source: the template.

    Raises:
        BundleError: it does not compile, or cannot render a single instruction.
    """

    def __init__(self, source: str) -> None:
        try:
            self._template = make_environment().from_string(source)
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
            return self._template.render(messages=turns, add_generation_prompt=True, tools=None, documents=None)
        except Exception as error:  # a template is a program of the bundle's, and may raise anything
            raise InvalidRequestError("messages", f"the model's prompt template refuses them: {error}") from error
