"""Every setting of a picture and every preference, declared once; form, flag, check and file read it here."""

import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from engine.errors import BadInput, closest
from engine.schedulers import SCHEDULERS

BACKENDS = ("auto", "cuda", "mps", "openvino", "torch")
PRECISIONS = ("auto", "int8", "bf16", "fp16", "fp32")
MAX_PROMPT = 20_000
"""Characters; some hundred times what a text encoder reads, and few enough for every text box."""
MAX_SEED = 2**53 - 1
"""What a double, and so every reader of JSON, holds exactly."""

Where = Literal["prompt", "main", "advanced", "machine"]


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
        Setting("Width", "In pixels. A model draws best at its own size.", 64, 2048, 8, absent="Model's own"),
    ] = None
    height: Annotated[
        int | None,
        Setting("Height", "In pixels. A model draws best at its own size.", 64, 2048, 8, absent="Model's own"),
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
    backend: Annotated[
        str,
        Setting("Backend", "Which part of the computer draws.", choices=BACKENDS, where="machine"),
    ] = "auto"
    precision: Annotated[
        str,
        Setting("Precision", "Fewer bits: faster, a little less exact.", choices=PRECISIONS, where="machine"),
    ] = "auto"


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
    """The declared settings, in the order of their declaration."""
    hints = get_type_hints(of, include_extras=True)
    for field in msgspec.structs.fields(of):
        declared, setting = get_args(hints[field.name])
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


def shown(value: object) -> str:
    """A value short enough for a sentence."""
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"


def parsed(field: Field, text: str) -> Any:
    """The value that a person typed for a field. Raises BadInput for what is not of its type."""
    try:
        return field.type(text)
    except ValueError:
        raise refusal(field, text) from None
