"""Every setting of a picture and every preference, declared once; form, flag, check and file read it here."""

import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from engine.errors import BadInput, closest, shown
from engine.few_steps import KINDS as KINDS_OF_FEW_STEPS
from engine.schedulers import SCHEDULERS
from engine.uses import MAX_PROMPT, ControlUse, Extension, ImagePrompt, LoraUse, RegionUse, check_uses

BACKENDS = ("auto", "cuda", "mps", "openvino", "torch")
PRECISIONS = ("auto", "int8", "bf16", "fp16", "fp32")
SMALLEST, LARGEST = 64, 2048
"""Pixels a side of what is drawn."""
MAX_PATH = 4096
"""Characters of a file's path."""
SWITCH = ("off", "on")
"""Choices of a preference that is ticked or not."""
LANCZOS = "Lanczos"
"""The upscaler that is always there."""
LATENT = "Latent"
"""What enlarges the latents of a first drawing, rather than its picture."""
MAX_SEED = 2**53 - 1
"""What a double, and so every reader of JSON, holds exactly."""

LARGEST_UPSCALED = 8192
"""Pixels a side of what is drawn anew in windows."""

Task = Literal["text-to-image", "image-to-image", "inpaint", "upscale"]
Where = Literal["prompt", "main", "advanced", "source", "machine"]


class Setting(NamedTuple):
    """How one field is shown, explained and limited. Labels are English; the window translates them."""

    label: str
    help: str
    low: float = -math.inf
    high: float = math.inf
    step: float = 1
    choices: tuple[str, ...] = ()
    absent: str = ""
    """What is shown for None, for fields that may be None."""
    where: Where = "main"


SEAMLESS = {"off": (False, False), "both ways": (True, True), "sideways": (True, False), "up and down": (False, True)}
"""Whether the left edge meets the right one, and the upper one the lower."""


class GenerateSettings(Struct, frozen=True, kw_only=True, tag="settings"):
    """What one picture is made from. Same settings, same backend and precision: same picture."""

    prompt: Annotated[str, Setting("Prompt", "What the picture shows.", high=MAX_PROMPT, where="prompt")] = ""
    negative_prompt: Annotated[
        str,
        Setting("Negative prompt", "What the picture must not show.", high=MAX_PROMPT, where="prompt"),
    ] = ""
    model: Annotated[str, Setting("Model", "The model that draws.", where="main")] = "Easel Starter"
    width: Annotated[
        int | None,
        Setting("Width", "In pixels. A model draws best at its own size.", SMALLEST, LARGEST, 8, absent="Model's own"),
    ] = None
    height: Annotated[
        int | None,
        Setting("Height", "In pixels. A model draws best at its own size.", SMALLEST, LARGEST, 8, absent="Model's own"),
    ] = None
    steps: Annotated[int, Setting("Steps", "More steps: finer detail, more time. 15 to 30 is usual.", 1, 150)] = 20
    guidance_scale: Annotated[
        float,
        Setting("Guidance scale", "How closely the prompt is followed. 4 to 9 is usual.", 1, 30, 0.5),
    ] = 6.0
    scheduler: Annotated[
        str,
        Setting("Scheduler", "How noise becomes a picture, step by step.", choices=tuple(SCHEDULERS)),
    ] = "DPM++ 2M trailing"
    seed: Annotated[
        int | None,
        Setting("Seed", "The same seed gives the same picture again.", 0, MAX_SEED, absent="Random"),
    ] = None
    count: Annotated[int, Setting("Pictures", "How many pictures, each with the next seed.", 1, 100)] = 1
    refiner: Annotated[
        str,
        Setting("Refiner", "A model that finishes what the first one began: XL's refiner.", where="advanced"),
    ] = ""
    refiner_start: Annotated[
        float,
        Setting("Refiner start", "The share of the steps after which it takes over.", 0.1, 1, 0.05, where="advanced"),
    ] = 0.8
    few_steps: Annotated[
        str,
        Setting(
            "Few steps",
            "What a model or LoRA made for few steps is run with: “auto” goes by its name.",
            choices=("auto", "off", *KINDS_OF_FEW_STEPS),
            where="advanced",
        ),
    ] = "auto"
    variation_seed: Annotated[
        int | None,
        Setting(
            "Variation seed",
            "Another noise that is mixed in, for pictures that are alike.",
            0,
            MAX_SEED,
            absent="Random",
            where="advanced",
        ),
    ] = None
    variation_strength: Annotated[
        float,
        Setting(
            "Variation strength", "How much of the other noise is mixed in; 0 for none.", 0, 1, 0.05, where="advanced"
        ),
    ] = 0.0
    hires_scale: Annotated[
        float,
        Setting(
            "Enlarge",
            "Draw small first, then again this many times larger: large pictures keep their composition.",
            1,
            4,
            0.25,
            where="advanced",
        ),
    ] = 1.0
    hires_strength: Annotated[
        float,
        Setting(
            "Second strength", "How much the second drawing may change of the first.", 0, 1, 0.05, where="advanced"
        ),
    ] = 0.5
    upscaler: Annotated[
        str,
        Setting(
            "Upscaler",
            "What enlarges a picture before it is drawn again: “Lanczos”, “Latent”, or one you have.",
            where="source",
        ),
    ] = LANCZOS
    clip_skip: Annotated[
        int,
        Setting(
            "CLIP skip",
            "Which of the text encoder's layers speaks, from the last. 1 is usual, 2 for anime models.",
            1,
            12,
            where="advanced",
        ),
    ] = 1
    vae: Annotated[
        str,
        Setting(
            "VAE", "Another autoencoder than the model's own: a file or a folder.", high=MAX_PATH, where="advanced"
        ),
    ] = ""
    guidance_rescale: Annotated[
        float,
        Setting("Guidance rescale", "Mends colours of strong guidance; 0.7 is usual.", 0, 1, 0.05, where="advanced"),
    ] = 0.0
    guidance_start: Annotated[
        float,
        Setting("Guidance start", "The share of the steps before which none is guided.", 0, 1, 0.05, where="advanced"),
    ] = 0.0
    guidance_end: Annotated[
        float,
        Setting("Guidance end", "The share of the steps after which none is guided.", 0, 1, 0.05, where="advanced"),
    ] = 1.0
    pag_scale: Annotated[
        float,
        Setting("PAG scale", "Perturbed-attention guidance: clearer shapes; 3 is usual.", 0, 20, 0.5, where="advanced"),
    ] = 0.0
    freeu_b1: Annotated[
        float, Setting("FreeU b1", "Strengthens the first stage; 1 leaves it.", 0.1, 2, 0.1, where="advanced")
    ] = 1.0
    freeu_b2: Annotated[
        float, Setting("FreeU b2", "Strengthens the second stage; 1 leaves it.", 0.1, 2, 0.1, where="advanced")
    ] = 1.0
    freeu_s1: Annotated[
        float, Setting("FreeU s1", "Weakens the first stage's skip connections.", 0.1, 2, 0.1, where="advanced")
    ] = 1.0
    freeu_s2: Annotated[
        float, Setting("FreeU s2", "Weakens the second stage's skip connections.", 0.1, 2, 0.1, where="advanced")
    ] = 1.0
    seamless: Annotated[
        str,
        Setting("Seamless", "A picture whose edges meet, for tiling.", choices=tuple(SEAMLESS), where="advanced"),
    ] = "off"
    source: Annotated[
        str, Setting("Source picture", "The picture to start from: a file.", high=MAX_PATH, where="source")
    ] = ""
    mask: Annotated[
        str,
        Setting("Mask", "What of the source is drawn anew: a file, white where.", high=MAX_PATH, where="source"),
    ] = ""
    strength: Annotated[
        float,
        Setting("Denoising strength", "How much of the source may change.", 0.0, 1, 0.05, where="source"),
    ] = 0.6
    upscale_factor: Annotated[
        float,
        Setting(
            "Upscale",
            "How many times larger the source comes back; with a denoising strength it is drawn anew, too.",
            1,
            8,
            0.5,
            where="source",
        ),
    ] = 1.0
    inpaint_area: Annotated[
        str,
        Setting(
            "Inpaint area",
            "What the model sees while it draws what is masked: all, or the mask and a little around it.",
            choices=("whole picture", "only masked"),
            where="source",
        ),
    ] = "whole picture"
    mask_padding: Annotated[
        int,
        Setting("Mask padding", "How many pixels around the mask are seen, too.", 0, 512, 8, where="source"),
    ] = 32
    mask_feather: Annotated[
        int,
        Setting("Mask feather", "Over how many pixels inside the mask the new part fades in.", 0, 128, where="source"),
    ] = 8
    extend: Extension = Extension()
    """What is drawn around the source."""
    template: str = ""
    """The prompt before its wildcards and choices were decided; empty where there were none."""
    negative_template: str = ""
    loras: tuple[LoraUse, ...] = ()
    controls: tuple[ControlUse, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    regions: tuple[RegionUse, ...] = ()
    backend: Annotated[
        str,
        Setting("Backend", "Which part of the computer draws.", choices=BACKENDS, where="machine"),
    ] = "auto"
    precision: Annotated[
        str,
        Setting("Precision", "Fewer bits: faster, a little less exact.", choices=PRECISIONS, where="machine"),
    ] = "auto"

    @property
    def enlarges_latents(self) -> bool:
        """Whether the second drawing begins with the latents of the first."""
        return self.upscaler.strip().casefold() == LATENT.casefold()

    @property
    def task(self) -> Task:
        """What is to be done, by what is given."""
        if not self.source:
            return "text-to-image"
        if self.upscale_factor > 1:
            return "upscale"
        return "inpaint" if self.mask or self.extend else "image-to-image"


class Preferences(Struct, frozen=True, kw_only=True, tag="preferences"):
    """What is chosen once for the whole program."""

    theme: Annotated[
        str, Setting("Appearance", "Light, dark, or as the system is.", choices=("system", "light", "dark"))
    ] = "system"
    language: Annotated[
        str,
        Setting("Language", "The language of the window.", choices=("system", "en", "zh_Hans", "zh_Hant")),
    ] = "system"
    output: Annotated[str, Setting("Pictures folder", "Where finished pictures go.", absent="Easel's own")] = ""
    cores: Annotated[
        int, Setting("Processor cores", "How many of them draw and convert; 0 for as many as are best.", 0, 1024)
    ] = 0
    low_priority: Annotated[
        str,
        Setting("Let other programs go first", "Draw with what the others leave of the processor.", choices=SWITCH),
    ] = "off"
    rest_on_battery: Annotated[
        str, Setting("Rest on the battery", "Draw only while the computer is plugged in.", choices=SWITCH)
    ] = "off"
    rest_when_hot: Annotated[
        str,
        Setting(
            "Rest when hot",
            "Let the processor cool down, where the system says how warm it is, as Linux does.",
            choices=SWITCH,
        ),
    ] = "off"


S = TypeVar("S", GenerateSettings, Preferences)


class Field(NamedTuple):
    """One declared setting: its name, its type without None, whether None is allowed, default and words."""

    name: str
    type: type
    optional: bool
    default: Any
    setting: Setting

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return "--" + self.name.replace("_", "-")


def fields(of: type[Struct] = GenerateSettings) -> Iterator[Field]:
    """The settings declared with a label, in the order of their declaration; lists of adapters have none."""
    hints = get_type_hints(of, include_extras=True)
    for field in msgspec.structs.fields(of):
        declared, setting = (*get_args(hints[field.name]), None, None)[:2]
        if not isinstance(setting, Setting):
            continue
        plain = [part for part in _parts(declared) if part is not type(None)]
        yield Field(field.name, plain[0], len(plain) < len(_parts(declared)), field.default, setting)


def _parts(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, types.UnionType) else (declared,)


def checked(settings: S) -> S:
    """The same settings, once every value has the declared type and lies in its range.

    Raises BadInput that names the setting, the value and what is allowed.
    """
    for field in fields(type(settings)):
        _check(field, getattr(settings, field.name))
    if isinstance(settings, GenerateSettings):
        _check_source(settings)
        check_uses(settings.loras, settings.controls, settings.image_prompts, settings.regions)
        _check_ways(settings)
    return settings


def _check(field: Field, value: Any) -> None:
    if value is None:
        if not field.optional:
            raise refusal(field, value)
        return
    wanted: tuple[type, ...] = (int, float) if field.type is float else (field.type,)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise refusal(field, value)
    setting = field.setting
    if setting.choices and value not in setting.choices:
        raise BadInput(
            f"{setting.label} “{shown(value)}” is not known.",
            closest(value, list(setting.choices)),
            where=field.name,
        )
    if isinstance(value, str):
        _check_text(field, value)
    elif not setting.low <= value <= setting.high:  # NaN fails every comparison
        raise refusal(field, value)


def _check_source(settings: GenerateSettings) -> None:
    """What is done to a source needs one, and one thing at a time."""
    given = {
        "a mask": bool(settings.mask),
        "an extension": bool(settings.extend),
        "an upscale factor": settings.upscale_factor > 1,
    }
    asked = [name for name, is_given in given.items() if is_given]
    if asked and not settings.source:
        raise BadInput(f"There is {asked[0]}, but no source picture.", "Choose a source, too.", where="source")
    if settings.upscale_factor > 1 and len(asked) > 1:
        raise BadInput(
            f"{asked[0].capitalize()} and {asked[-1]} do not go together.", "Do one after the other.", "source"
        )
    for side, pixels in settings.extend._asdict().items():
        if isinstance(pixels, bool) or not isinstance(pixels, int) or not 0 <= pixels <= LARGEST_UPSCALED:
            raise BadInput(
                f"A source cannot be extended by {shown(pixels)} pixels on the side “{side}”.",
                f"Use whole numbers from 0 to {LARGEST_UPSCALED}.",
                where="extend",
            )


def _check_ways(settings: GenerateSettings) -> None:
    """Ways of drawing that contradict one another."""
    if settings.guidance_start > settings.guidance_end:
        raise BadInput(
            f"Guidance cannot go from {settings.guidance_start:g} to {settings.guidance_end:g} of the steps.",
            "Let it start before it ends.",
            where="guidance_start",
        )
    if settings.upscale_factor > 1 and settings.enlarges_latents:
        raise BadInput(
            f"“{LATENT}” enlarges what was drawn, and a source was not.",
            f"Choose “{LANCZOS}”, or an upscaler you have.",
            where="upscaler",
        )
    if settings.upscale_factor > 1 and settings.seamless != "off":
        raise BadInput(
            "What is upscaled is drawn in windows, whose edges are not the picture's.",
            "Set Seamless to “off”.",
            where="seamless",
        )


def _check_text(field: Field, value: str) -> None:
    label, limit = field.setting.label, field.setting.high
    if len(value) > limit:
        raise BadInput(
            f"{label} is {len(value):,} characters long.",
            f"Use at most {limit:,.0f} characters.",
            where=field.name,
        )
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise BadInput(f"{label} holds bytes that are not text.", "Type it again.", where=field.name)


def refusal(field: Field, value: object) -> BadInput:
    """The error for a value of the wrong type or out of range."""
    setting = field.setting
    kind = {int: "a whole number", float: "a number", str: "text"}[field.type]
    span = "" if setting.low == -math.inf else f" from {setting.low:,.6g} to {_bound(setting.high)}"
    return BadInput(f"{setting.label} cannot be {shown(value)}.", f"Use {kind}{span}.", where=field.name)


def _bound(high: float) -> str:
    return str(int(high)) if float(high).is_integer() else f"{high:g}"


def parsed(field: Field, text: str) -> Any:
    """The value that a person typed for a field. Raises BadInput for what is not of its type."""
    try:
        return field.type(text)
    except ValueError:
        raise refusal(field, text) from None
