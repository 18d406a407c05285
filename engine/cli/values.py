"""What people type for a LoRA, a control, a region, a grid: read into the values that it stands for."""

from contextlib import suppress
from pathlib import Path

import msgspec

from engine.errors import BadInput, closest, shown
from engine.messages import Axis
from engine.settings import ControlUse, Extension, ImagePrompt, LoraUse, fields, parsed
from engine.uses import RegionUse


def axis(typed: str) -> Axis:
    """A setting and its values, from "steps=10,20,30" or, where values have commas, "prompt=a cat;a dog"."""
    name, _, values = typed.partition("=")
    field = next((field for field in fields() if field.flag == f"--{name.strip()}" or field.name == name.strip()), None)
    if field is None:
        advice = closest(name.strip(), [each.name for each in fields() if each.name != "count"])
        raise BadInput(f"A grid cannot go over “{shown(name.strip())}”: that is no setting.", advice)
    if not values:
        raise BadInput(f"The grid over “{field.name}” has no values.", "Use NAME=VALUE,VALUE, as in steps=10,20.")
    split = values.split(";" if ";" in values else ",")
    return Axis(name=field.name, values=tuple(parsed(field, value.strip()) for value in split))


def extension(typed: str) -> Extension:
    """How far a source is extended, from "left=64,bottom=128" or "all=64"."""
    sides: dict[str, int] = {}
    for each in typed.split(","):
        side, _, pixels = (part.strip() for part in each.partition("="))
        if side not in (*Extension._fields, "all") or not pixels.isdecimal():
            raise BadInput(
                f"A source cannot be extended by “{each[:40]}”.", "Use SIDE=PIXELS, as in left=64,bottom=128."
            )
        sides |= dict.fromkeys(Extension._fields if side == "all" else (side,), int(pixels))
    return Extension(**sides)


def lora(typed: str) -> LoraUse:
    typed, _, row = typed.partition(":lbw=")
    name, weight = _with_weight(typed)
    try:
        blocks = tuple(map(float, row.split(","))) if row else ()
    except ValueError:
        raise BadInput(f"The block weights “{row[:40]}” are no numbers.", "Use :lbw=1,0,0.5,... for them.") from None
    return LoraUse(name=name, weight=weight, blocks=blocks)


def control(typed: str) -> ControlUse:
    kind, _, rest = typed.partition(":")
    rest, more = _with_more(rest, ("mode", "net", "shows", "start", "end"))
    image, weight = _with_weight(rest)
    if not image:
        raise BadInput(
            f"The control “{typed[:40]}” names no picture.",
            "Use KIND:FILE or KIND:FILE:WEIGHT, as in canny:cat.png:0.8.",
        )
    values = {"kind": kind, "image": str(Path(image).expanduser().resolve()), "weight": weight, **more}
    try:
        return msgspec.convert(values, ControlUse, strict=False)
    except msgspec.ValidationError as error:
        advice = "Use mode=balanced, prompt or control, and numbers for start and end."
        raise BadInput(f"The control “{typed[:80]}” cannot be read.", advice, where="controls") from error


def image_prompt(typed: str) -> ImagePrompt:
    rest, more = _with_more(typed, ("adapter",))
    image, weight = _with_weight(rest)
    return ImagePrompt(image=str(Path(image).expanduser().resolve()), weight=weight, **more)


def _with_more(typed: str, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """What stands before the last “,name=value” of these names, and those; names of files may have commas, too."""
    more: dict[str, str] = {}
    while True:
        rest, comma, last = typed.rpartition(",")
        name, equals, value = last.partition("=")
        if not (comma and equals and name.strip() in names):
            return typed, more
        typed, more = rest, {name.strip(): value.strip()} | more


def region(typed: str) -> RegionUse:
    """The mask is what stands before the first colon that ends the name of a file: paths may have colons, too."""
    for place in (place for place, letter in enumerate(typed) if letter == ":"):
        mask = Path(typed[:place]).expanduser()
        with suppress(OSError):  # a name that is too long for a file
            if mask.is_file():
                return RegionUse(mask=str(mask.resolve()), prompt=typed[place + 1 :])
    raise BadInput(
        f"The region “{typed[:40]}” names no file.", "Use MASK:PROMPT, as in left.png:a red house.", where="regions"
    )


def _with_weight(typed: str) -> tuple[str, float]:
    """A name, and the number behind its last colon, 1 where there is none; names and paths may have colons, too."""
    name, colon, weight = typed.rpartition(":")
    try:
        return (name, float(weight)) if colon else (typed, 1.0)
    except ValueError:
        return typed, 1.0


def in_words(value: object) -> str:
    """A value of a record as people read it: of lists what is said in them, one behind the other."""
    if isinstance(value, list):
        return "; ".join(map(in_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(each)}" for name, each in value.items() if each not in (None, "", []))
    return str(value)
