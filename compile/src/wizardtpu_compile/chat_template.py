"""The prompt format of the WizardCoder family, as a Jinja chat template.

The single-turn text is the one published with WizardCoder-15B-V1.0; further turns repeat the
instruction/response pair after the answer, and a leading system message replaces the preamble.
"""

from __future__ import annotations

WIZARDCODER_CHAT_TEMPLATE = (
    "{%- if messages[0].role == 'system' -%}{{ messages[0].content }}"
    "{%- else -%}Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}"
    "{{ '\\n\\n### Instruction:\\n' + message.content + '\\n\\n### Response:' }}"
    "{%- elif message.role == 'assistant' -%}{{ message.content }}{%- endif -%}"
    "{%- endfor -%}"
)
