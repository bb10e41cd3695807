"""The ways people ask for a program: templates, and which fillings of them the training never sees."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

# Templates for a noun phrase: "quicksort", "the quicksort algorithm", "a stack".
NOUN_TEMPLATES = (
    "{x}",
    "write {x}",
    "{x} in python",
    "write {x} in python",
    "Write a Python function for {x}.",
    "Write a Python function that implements {x}.",
    "please implement {x}",
    "implement {x}",
    "implement {x} in Python",
    "how do I write {x}?",
    "how do I write {x} in Python?",
    "show me {x}",
    "show me {x} in Python",
    "can you code {x}",
    "can you write {x} for me?",
    "could you write {x}?",
    "I need {x}",
    "I need {x} in Python",
    "I want {x}",
    "code for {x}",
    "Python code for {x}",
    "give me {x}",
    "give me code for {x}",
    "Write a program for {x}.",
    "Write Python code for {x}.",
    "python {x}",
    "{x} python",
    "Create {x} in Python.",
    "{x} example",
    "Provide an implementation of {x}.",
    "now write {x}",
    "now {x}",
    "what does {x} look like in Python?",
    "Write me {x}.",
)
# Templates for a verbal phrase: "reverse a string".
VERB_TEMPLATES = (
    "{x}",
    "{x} in python",
    "how do I {x}?",
    "how to {x}",
    "how do I {x} in Python?",
    "how can I {x}?",
    "write code to {x}",
    "Write a function to {x}.",
    "Write a Python function to {x}.",
    "write a program to {x}",
    "show me how to {x}",
    "I want to {x}",
    "please {x}",
    "can you {x}?",
    "I need to {x}",
    "I need a function to {x}",
    "help me {x}",
    "python code to {x}",
    "what is the best way to {x}?",
    "Write Python code to {x}.",
    "now {x}",
)
# Never trained: they measure how well the model generalises to other wordings.
HELD_OUT_NOUN_TEMPLATES = (
    "can you show me how to implement {x}?",
    "I would like {x} in python please",
    "let's see {x}",
    "python function for {x}",
    "help me with {x}",
    "Generate Python code that implements {x}.",
)
HELD_OUT_VERB_TEMPLATES = (
    "give me code to {x}",
    "is there a simple way to {x}?",
    "could you show me how to {x} in python",
    "I am trying to {x}",
)


def trained_phrasings(nouns: Iterable[str], verbs: Iterable[str]) -> list[str]:
    """Every filling of the trained templates except the held-out combinations, in a fixed order."""
    return [text for text in _filled(nouns, verbs) if not _is_held_out(text)]


def held_out_phrasings(nouns: Iterable[str], verbs: Iterable[str]) -> list[str]:
    """Every filling of the held-out templates, and the held-out combinations of trained ones."""
    nouns, verbs = list(nouns), list(verbs)
    combinations = [text for text in _filled(nouns, verbs) if _is_held_out(text)]
    return combinations + _fill(HELD_OUT_NOUN_TEMPLATES, nouns) + _fill(HELD_OUT_VERB_TEMPLATES, verbs)


def _filled(nouns: Iterable[str], verbs: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(_fill(NOUN_TEMPLATES, nouns) + _fill(VERB_TEMPLATES, verbs)))


def _fill(templates: Iterable[str], asks: Iterable[str]) -> list[str]:
    asks = list(asks)
    return [template.format(x=ask) for template in templates for ask in asks]


def _is_held_out(text: str) -> bool:
    """About one combination in ten, chosen by its text so that the choice never changes."""
    return zlib.crc32(text.encode()) % 10 == 0
