from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wizardtpu.v1 import generation_pb2 as wire
from wizardtpud.errors import InvalidRequestError
from wizardtpud.rpc.prompts import Prompts
from wizardtpud.text.prompt_template import PromptTemplate
from wizardtpud.text.tokenizer import Tokenizer

from tests.support.byte_level_tokenizer import byte_level_backend

TEMPLATE = "{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}"
TOKENIZER = Tokenizer(byte_level_backend())
CONTEXT = 80
PROMPTS = Prompts(TOKENIZER, PromptTemplate(TEMPLATE), CONTEXT)
SYSTEM, USER, ASSISTANT = wire.ROLE_SYSTEM, wire.ROLE_USER, wire.ROLE_ASSISTANT


def conversation(*turns: tuple[wire.Role, str]) -> wire.Conversation:
    return wire.Conversation(messages=[wire.Message(role=role, content=content) for role, content in turns])


async def refusal(request: wire.GenerateRequest | wire.TokenizeRequest) -> InvalidRequestError:
    prompt = (
        PROMPTS.of_generate(request) if isinstance(request, wire.GenerateRequest) else PROMPTS.of_tokenize(request)
    )
    with pytest.raises(InvalidRequestError) as error:
        await prompt
    return error.value


async def test_an_instruction_is_rendered() -> None:
    ids = await PROMPTS.of_generate(wire.GenerateRequest(instruction=" sort it\n"))

    assert TOKENIZER.decode(ids) == "<user> sort it\n"


async def test_a_prompt_is_taken_as_it_is() -> None:
    ids = await PROMPTS.of_generate(wire.GenerateRequest(prompt=" def f():\n"))

    assert TOKENIZER.decode(ids) == " def f():\n"


async def test_a_conversation_is_rendered() -> None:
    turns = conversation((SYSTEM, "be brief"), (USER, "a"), (ASSISTANT, "b"), (USER, "c"))

    ids = await PROMPTS.of_generate(wire.GenerateRequest(messages=turns))

    assert TOKENIZER.decode(ids) == "<system>be brief<user>a<assistant>b<user>c"


async def test_token_ids_are_taken_as_they_are() -> None:
    ids = [0, 5, TOKENIZER.vocabulary - 1]

    assert await PROMPTS.of_generate(wire.GenerateRequest(token_ids=wire.TokenIds(ids=ids))) == ids


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (wire.GenerateRequest(), "input"),
        (wire.GenerateRequest(instruction=""), "instruction"),
        (wire.GenerateRequest(instruction=" \n\t"), "instruction"),
        (wire.GenerateRequest(prompt=""), "prompt"),
        (wire.GenerateRequest(messages=wire.Conversation()), "messages.messages"),
        (wire.GenerateRequest(messages=conversation((USER, "a"), (ASSISTANT, "b"))), "messages.messages"),
        (wire.GenerateRequest(messages=conversation((USER, "a"), (USER, " "))), "messages.messages[1].content"),
        (
            wire.GenerateRequest(messages=conversation((wire.ROLE_UNSPECIFIED, "a"), (USER, "b"))),
            "messages.messages[0].role",
        ),
        (wire.GenerateRequest(messages=conversation((USER, "a"), (99, "b"))), "messages.messages[1].role"),  # type: ignore[arg-type]
        (wire.GenerateRequest(token_ids=wire.TokenIds()), "token_ids"),
        (wire.GenerateRequest(token_ids=wire.TokenIds(ids=[5, TOKENIZER.vocabulary])), "token_ids.ids[1]"),
        (wire.TokenizeRequest(), "input"),
        (wire.TokenizeRequest(instruction=" "), "instruction"),
        (wire.TokenizeRequest(messages=wire.Conversation()), "messages.messages"),
    ],
    ids=str,
)
async def test_what_cannot_be_served_is_refused(
    request_: wire.GenerateRequest | wire.TokenizeRequest, field: str
) -> None:
    assert (await refusal(request_)).field == field


async def test_the_roles_that_exist_are_named() -> None:
    error = await refusal(wire.GenerateRequest(messages=conversation((99, "a"))))  # type: ignore[arg-type]

    assert error.description == "is 99, which is none of ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT"


@pytest.mark.parametrize("field", ["prompt", "instruction", "messages", "token_ids"])
async def test_a_prompt_must_leave_room_for_an_answer(field: str) -> None:
    def request(tokens: int) -> wire.GenerateRequest:
        text = "~" * tokens  # a token each
        match field:
            case "token_ids":
                return wire.GenerateRequest(token_ids=wire.TokenIds(ids=[1] * tokens))
            case "messages":
                return wire.GenerateRequest(messages=conversation((USER, text[:-rendered])))
            case "instruction":
                return wire.GenerateRequest(instruction=text[:-rendered])
        return wire.GenerateRequest(prompt=text)

    rendered = len(TOKENIZER.encode("<user>"))

    assert len(await PROMPTS.of_generate(request(CONTEXT - 1))) == CONTEXT - 1
    error = await refusal(request(CONTEXT))
    assert error.field == field
    assert f"has {CONTEXT} tokens" in error.description
    assert f"at most {CONTEXT - 1}" in error.description


async def test_too_many_ids_are_refused_before_each_is_looked_at() -> None:
    many = wire.TokenIds(ids=[2**32 - 1] * 1000)

    assert (await refusal(wire.GenerateRequest(token_ids=many))).field == "token_ids"


async def test_a_long_text_is_encoded_beside_the_event_loop_to_the_same_tokens() -> None:
    text = "def quicksort(items):\n" * 1000

    assert await PROMPTS.of_tokenize(wire.TokenizeRequest(text=text)) == TOKENIZER.encode(text)


async def test_no_text_has_no_tokens() -> None:
    assert await PROMPTS.of_tokenize(wire.TokenizeRequest(text="")) == []


@given(st.text(max_size=200))
async def test_any_text_is_encoded(text: str) -> None:
    assert TOKENIZER.decode(await PROMPTS.of_tokenize(wire.TokenizeRequest(text=text))) == text
