"""From what a client sends to the token ids the engine takes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from wizardtpu.v1 import generation_pb2 as wire

from wizardtpud.errors import InvalidRequestError
from wizardtpud.text.prompt_template import Message, PromptTemplate
from wizardtpud.text.tokenizer import Tokenizer

_ROLES = {wire.ROLE_SYSTEM: "system", wire.ROLE_USER: "user", wire.ROLE_ASSISTANT: "assistant"}
_LONG_TEXT = 4_096  # characters (some 5 ms of encoding) beyond which it would hold up the other streams


class Prompts:
    """Renders and encodes the inputs of requests for one model.

    Args:
        context: most tokens a prompt and its answer may have together.
    """

    def __init__(self, tokenizer: Tokenizer, template: PromptTemplate, context: int) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._context = context

    async def of_generate(self, request: wire.GenerateRequest) -> list[int]:
        """The prompt of a request.

        Raises:
            InvalidRequestError: nothing given, empty, too long, or a token id or role that does not exist.
        """
        field = request.WhichOneof("input") or "input"
        if field == "token_ids":
            ids = list(request.token_ids.ids)
        else:
            ids = await self._encode(self._text(request, field))
        if not ids:
            raise InvalidRequestError(field, "has no tokens")
        if len(ids) >= self._context:
            raise InvalidRequestError(
                field, f"has {len(ids)} tokens, but a prompt may have at most {self._context - 1} of them"
            )
        return self.checked_ids("token_ids.ids", ids) if field == "token_ids" else ids

    async def of_tokenize(self, request: wire.TokenizeRequest) -> list[int]:
        """The token ids of a text; an empty `text` has none.

        Raises:
            InvalidRequestError: nothing given, an empty instruction, or a role that does not exist.
        """
        return await self._encode(self._text(request, request.WhichOneof("input") or "input"))

    def checked_ids(self, field: str, ids: Iterable[int]) -> list[int]:
        """The ids as a list, if each is in the vocabulary.

        Raises:
            InvalidRequestError: one is not.
        """
        checked = list(ids)
        limit = self._tokenizer.vocabulary
        for index, token_id in enumerate(checked):
            if token_id >= limit:
                raise InvalidRequestError(
                    f"{field}[{index}]", f"is {token_id}, but the vocabulary ends at {limit - 1}"
                )
        return checked

    async def _encode(self, text: str) -> list[int]:
        if len(text) <= _LONG_TEXT:
            return self._tokenizer.encode(text)
        return await asyncio.to_thread(self._tokenizer.encode, text)

    def _text(self, request: wire.GenerateRequest | wire.TokenizeRequest, field: str) -> str:
        if field == "messages":
            return self._template.render(_messages(request.messages))
        if field == "input":
            choices = [choice.name for choice in request.DESCRIPTOR.oneofs_by_name[field].fields]
            raise InvalidRequestError(field, f"is missing: set one of {', '.join(choices)}")
        text: str = getattr(request, field)
        if field != "instruction":
            return text
        if not text.strip():
            raise InvalidRequestError(field, "is empty")
        return self._template.render([Message("user", text)])


def _messages(conversation: wire.Conversation) -> list[Message]:
    if not conversation.messages:
        raise InvalidRequestError("messages.messages", "is empty")
    messages = [_message(index, message) for index, message in enumerate(conversation.messages)]
    if messages[-1].role != "user":
        raise InvalidRequestError("messages.messages", "must end with a message of the user")
    return messages


def _message(index: int, message: wire.Message) -> Message:
    field = f"messages.messages[{index}]"
    if message.role not in _ROLES:
        known = ", ".join(f"ROLE_{role.upper()}" for role in _ROLES.values())
        raise InvalidRequestError(f"{field}.role", f"is {message.role}, which is none of {known}")
    if not message.content.strip():
        raise InvalidRequestError(f"{field}.content", "is empty")
    return Message(_ROLES[message.role], message.content)
