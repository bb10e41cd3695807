from __future__ import annotations

import pytest
from wizardtpud.errors import BundleError, InvalidRequestError
from wizardtpud.model.chat_template import WIZARDCODER_CHAT_TEMPLATE
from wizardtpud.text.prompt_template import Message, PromptTemplate

USER = Message("user", "write quicksort")
INSTRUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\nwrite quicksort\n\n### Response:"
)


def test_an_instruction_is_rendered_as_the_model_was_trained() -> None:
    assert PromptTemplate(WIZARDCODER_CHAT_TEMPLATE).render([USER]) == INSTRUCTION


def test_a_conversation_repeats_the_pair_after_the_answer() -> None:
    messages = [USER, Message("assistant", "\ndef f(): ..."), Message("user", "now in C")]

    assert PromptTemplate(WIZARDCODER_CHAT_TEMPLATE).render(messages) == (
        INSTRUCTION + "\ndef f(): ..." + "\n\n### Instruction:\nnow in C\n\n### Response:"
    )


def test_a_system_message_replaces_the_preamble() -> None:
    rendered = PromptTemplate(WIZARDCODER_CHAT_TEMPLATE).render([Message("system", "Be brief."), USER])

    assert rendered == "Be brief.\n\n### Instruction:\nwrite quicksort\n\n### Response:"


def test_content_is_text_and_not_template() -> None:
    content = "{{ 7 * 7 }} {% raise %} <b>&amp;"

    assert PromptTemplate("{{ messages[0].content }}").render([Message("user", content)]) == content


def test_blocks_take_their_line_with_them() -> None:
    source = "{% for message in messages %}\n  {% if true %}\n{{ message['role'] }}\n  {% endif %}\n{% endfor %}\n"

    assert PromptTemplate(source).render([USER]) == "user\n"


def test_templates_may_ask_whether_an_answer_is_wanted() -> None:
    assert PromptTemplate("{% if add_generation_prompt %}answer:{% endif %}").render([USER]) == "answer:"


def test_a_template_may_refuse_a_conversation() -> None:
    template = PromptTemplate("{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}")

    with pytest.raises(InvalidRequestError, match="one turn only") as caught:
        template.render([USER, USER])
    assert caught.value.field == "messages"


QWEN = """{%- if tools %}{{- "tools" }}{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def test_a_template_that_asks_for_tools_and_calls_of_tools() -> None:
    rendered = PromptTemplate(QWEN).render([USER, Message("assistant", "ok"), Message("user", "now in C")])

    assert rendered == (
        "<|im_start|>system\nYou are helpful.<|im_end|>\n<|im_start|>user\nwrite quicksort<|im_end|>\n"
        "<|im_start|>assistant\nok<|im_end|>\n<|im_start|>user\nnow in C<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}{{ messages[0].role }}{% endgeneration %}!", "user!"),
        ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
        ("{{ [1] | tojson(indent=1) }}", "[\n 1\n]"),
        ("{{ strftime_now('%d') | length }}", "2"),
        ("{% if tools is not none or documents %}tools{% endif %}none", "none"),
        (
            "{% if not date_string is defined %}{% set date_string = 'today' %}{% endif %}{{ date_string }}",
            "today",
        ),
        ("{{ (messages[0].content ~ '</think>x').split('</think>')[-1].lstrip('\\n') }}", "x"),
    ],
)
def test_what_transformers_add_to_jinja(source: str, rendered: str) -> None:
    assert PromptTemplate(source).render([USER]) == rendered


@pytest.mark.parametrize(
    "expression", ["messages[1].content", "messages[0].name", "1 // (messages | length - 2)", "range(10 ** 9)"]
)
def test_whatever_a_template_raises_is_an_answer_to_the_request(expression: str) -> None:
    template = PromptTemplate(f"{{% if messages[0].role == 'system' %}}{{{{ {expression} }}}}{{% endif %}}")

    with pytest.raises(InvalidRequestError):
        template.render([Message("system", "")] * (2 if "//" in expression else 1))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ messages[0].name }}", "no attribute 'name'"),
        ("{% if %}", "line 1"),
        ("a\n{{ messages", "line 2"),
        ("{{ bos_token }}", "'bos_token' is undefined"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe|not safely callable"),
        ("{{ raise_exception('never') }}", "never"),
    ],
)
def test_a_template_that_cannot_work_is_a_damaged_bundle(source: str, reason: str) -> None:
    with pytest.raises(BundleError, match=f"manifest.json: chat_template.*({reason})"):
        PromptTemplate(source)
