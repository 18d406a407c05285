"""What a file holds, as far as its header tells, and what that rests on."""

from typing import Literal, NamedTuple, get_args

Kind = Literal[
    "checkpoint", "denoiser", "lora", "embedding", "controlnet", "t2i_adapter", "ip_adapter", "vae", "preview_decoder",
    "upscaler", "text_encoder", "image_encoder", "preprocessor", "hypernetwork", "unknown",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)


class Question(NamedTuple):
    """Something about a file that no header tells, and what it may be."""

    about: str
    """What is asked for: "prediction", "family", "few steps" …; the person's answer is kept under it."""
    choices: tuple[str, ...]
    """What it may be, the likeliest first."""


class Guess(NamedTuple):
    """What a file is taken for. Right, or "unknown"; never a wrong one."""

    kind: Kind
    family: str = ""
    """A name of `engine.families.FAMILIES`, or the label of a foreign family; empty where it is not known or has none.

    Of an adapter, a ControlNet or a VAE: the family that it is made for.
    """
    variants: tuple[str, ...] = ()
    """What else is known: "inpaint", "v-prediction", "zero terminal SNR", "union", "few steps: LCM", "fp8" …"""
    rests_on: str = ""
    """What the guess rests on, one sentence: the tensor and its shape, or the line of metadata."""
    refusal: str = ""
    """Why Easel does not run it, and what to do: two sentences; empty for what it runs."""
    questions: tuple[Question, ...] = ()
    """What the header leaves open."""
