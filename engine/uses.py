"""What a picture is drawn with besides its numbers: LoRAs, control pictures, image prompts, regions."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from msgspec import Struct

from engine.controls import KINDS
from engine.errors import BadInput, closest, shown

MAX_PROMPT = 200_000
"""Characters; some thirty thousand words, and few enough for every text box."""
MAX_ADAPTERS = 100
"""LoRAs or control pictures of one picture."""
ControlMode = Literal["balanced", "prompt", "control"]
"""What counts more, as in AUTOMATIC1111's web UI (“My prompt” and “ControlNet is more important”)."""


class LoraUse(Struct, frozen=True, kw_only=True):
    """A LoRA that changes the model for a picture."""

    name: str
    """Of one the library has, or the path of a file."""
    weight: float = 1.0
    """Of its change of the denoiser; -10 to 10."""
    text_encoder_weight: float | None = None
    """Of its change of the text encoders; None for the same."""
    blocks: tuple[float, ...] = ()
    """A factor for each block, as `engine.adapters.lora_blocks` has them; none for 1 everywhere."""


class ControlUse(Struct, frozen=True, kw_only=True):
    """A picture that steers another's shapes through a ControlNet or a T2I-Adapter."""

    kind: str
    """What is made of the picture first: the name of a preprocessor, "none" for a finished control image."""
    image: str
    """The picture's file."""
    shows: str = ""
    """What kind the finished control image is of, for a net that knows several; empty for that of `kind`."""
    net: str = ""
    """The ControlNet's or T2I-Adapter's name or folder; empty for the first that fits the kind."""
    weight: float = 1.0
    """0 to 2."""
    start: float = 0.0
    end: float = 1.0
    """The share of the steps in which it steers."""
    mode: ControlMode = "balanced"
    """"prompt" steers gently where details are; "control" so, too, and only what the prompt asks for. Nets of
    transformers know "balanced" alone."""


class ImagePrompt(Struct, frozen=True, kw_only=True):
    """A picture that says what another shows, beside the words, through an IP-Adapter."""

    image: str
    """The picture's file."""
    adapter: str = ""
    """The IP-Adapter's name or file; empty for the first that fits the model."""
    weight: float = 1.0
    """0 to 2."""


class Extension(NamedTuple):
    """Pixels that are added to a picture on each of its sides."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        """Whether anything is added."""
        return any(self)


class RegionUse(Struct, frozen=True, kw_only=True):
    """A part of the picture with a prompt of its own."""

    mask: str
    """A picture's file, white where the region is."""
    prompt: str = ""
    weight: float = 1.0
    """How much of the main prompt it replaces there, 0 to 1."""
    template: str = ""
    """The prompt before its wildcards and choices were decided; empty where there were none."""


def check_uses(
    loras: Sequence[LoraUse],
    controls: Sequence[ControlUse],
    image_prompts: Sequence[ImagePrompt],
    regions: Sequence[RegionUse],
) -> None:
    """Raises BadInput for what is out of range, and for too many of a kind."""
    for many in (loras, controls, image_prompts, regions):
        if len(many) > MAX_ADAPTERS:
            raise BadInput(f"{len(many)} adapters are too many.", f"Use at most {MAX_ADAPTERS}.", where="loras")
    for lora in loras:
        for weight in (lora.weight, lora.text_encoder_weight, *lora.blocks):
            if weight is not None and not -10 <= weight <= 10:
                raise BadInput(
                    f"The weight of the LoRA “{shown(lora.name)}” cannot be {weight:g}.",
                    "Use a number from -10 to 10.",
                    where="loras",
                )
    for shown_by in image_prompts:
        if not 0 <= shown_by.weight <= 2:
            raise BadInput(
                f"The weight of an image prompt cannot be {shown_by.weight:g}.", "Use a number from 0 to 2.",
                where="image_prompts",
            )  # fmt: skip
    for control in controls:
        if not 0 <= control.weight <= 2:
            raise BadInput(
                f"The weight of the control “{shown(control.kind)}” cannot be {control.weight:g}.",
                "Use a number from 0 to 2.",
                where="controls",
            )
        if not 0 <= control.start < control.end <= 1:
            raise BadInput(
                f"The control “{shown(control.kind)}” cannot steer from {control.start:g} to {control.end:g}.",
                "Use shares of the steps from 0 to 1, the first one smaller.",
                where="controls",
            )
        words = ((control.kind, tuple(KINDS)), (control.mode, get_args(ControlMode)), (control.shows, ("", *KINDS)))
        for value, known in words:
            if value not in known:
                advice = closest(value, [name for name in known if name])
                raise BadInput(f"A control cannot be “{shown(value)}”.", advice, where="controls")
    for region in regions:
        if not 0 <= region.weight <= 1:
            raise BadInput(
                f"The weight of a region cannot be {region.weight:g}.", "Use a number from 0 to 1.", where="regions"
            )
        if len(region.prompt) > MAX_PROMPT or any(0xD800 <= ord(letter) <= 0xDFFF for letter in region.prompt):
            raise BadInput(
                "The prompt of a region is too long, or holds bytes that are not text.",
                f"Use at most {MAX_PROMPT:,} letters.",
                where="regions",
            )
