"""Answers to what a header leaves open: from a card beside the file, from its metadata, or from the person."""

from collections.abc import Mapping

from engine.families import FAMILIES
from engine.library.guess import Guess
from engine.library.headers.signs import refusal
from engine.library.sidecars import Sidecar

_NO = ("no", "Stable Diffusion XL")
"""Answers that add nothing to what is known."""


def answers(guess: Guess, said: Sidecar) -> dict[str, str]:
    """What a card or metadata answer of a guess's questions; only answers that the question allows."""
    offered = {
        "family": said.family,
        "prediction": said.prediction,
        "few steps": said.few_steps,
        "base model": said.line,
    }
    return {each.about: answer for each in guess.questions if (answer := offered.get(each.about, "")) in each.choices}


def settled(guess: Guess, answers: Mapping[str, str]) -> Guess:
    """The guess with these answers to its questions taken in, and the questions gone; others are passed over."""
    for question in guess.questions:
        answer = answers.get(question.about, "")
        if answer in question.choices:
            guess = _taken(guess, question.about, answer)
    return guess


def _taken(guess: Guess, about: str, answer: str) -> Guess:
    left = tuple(each for each in guess.questions if each.about != about)
    if about == "family":
        said = "" if answer in FAMILIES else refusal(guess.kind, answer, "which Easel does not run")
        return guess._replace(family=answer, refusal=said, questions=left)
    if answer in _NO:
        return guess._replace(questions=left)
    variant = f"few steps: {answer}" if about == "few steps" else answer
    return guess._replace(variants=(*guess.variants, variant), questions=left)
