"""Small random changes to a request, so that the model does not depend on its exact spelling."""

from __future__ import annotations

import random

OPENINGS = (
    "please ",
    "hi, ",
    "hello, ",
    "hey, ",
    "ok, ",
    "could you please ",
    "thanks, ",
    "great, ",
    "hello! ",
    "I have a question: ",
    "quick question: ",
    "for my homework, ",
)
CLOSINGS = (
    " please",
    ", please",
    ", thanks",
    " for me",
    " thanks",
    ", thank you",
    " now",
    " quickly",
    " with python 3",
)
ENDINGS = ("", "", ".", "!", "?", "...", " ?")


def augment(text: str, rng: random.Random) -> str:
    """`text` as another person might have typed it."""
    if rng.random() < 0.15:
        text = rng.choice(OPENINGS) + text[:1].lower() + text[1:]
    if rng.random() < 0.4:
        text = text.rstrip(".?!")
        if rng.random() < 0.3:
            text += rng.choice(CLOSINGS)
        text += rng.choice(ENDINGS)
    if rng.random() < 0.12:
        text = _with_typo(text, rng)
    return _with_other_case(text, rng)


def _with_other_case(text: str, rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.2:
        return text.lower()
    if chance < 0.35:
        return text[:1].upper() + text[1:]
    if chance < 0.39:
        return text.title()
    return text.upper() if chance < 0.42 else text


def _with_typo(text: str, rng: random.Random) -> str:
    """One letter lost, doubled or swapped with the next."""
    at = rng.randrange(len(text))
    before, letter, after = text[:at], text[at], text[at + 1 :]
    lost = before + after
    doubled = before + letter + letter + after
    swapped = before + after[:1] + letter + after[1:]
    return (lost, doubled, swapped)[rng.randrange(3)] or text
