"""The settings inside a picture as text: A1111's, and Easel's own, which loses nothing."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.schedulers import SCHEDULERS
from engine.settings import GenerateSettings

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"


class Made(Struct, frozen=True, kw_only=True):
    """How a picture was made; enough to make it again."""

    format: int = 1
    program: str
    settings: GenerateSettings
    backend: str
    precision: str
    seconds: float = 0.0


def easel_text(made: Made) -> str:
    """Easel's own form: one JSON object."""
    return msgspec.json.encode(made).decode()


def read_easel(text: str) -> Made | None:
    """What `easel_text` wrote, by any version; None for anything else."""
    try:
        return msgspec.json.decode(str(text), type=Made)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def a1111_text(made: Made, model_hash: str = "") -> str:
    """The `parameters` text of AUTOMATIC1111's web UI (modules/processing.py, create_infotext)."""
    settings = made.settings
    scheduler = SCHEDULERS[settings.scheduler]
    pairs: dict[str, object] = {
        "Steps": settings.steps,
        "Sampler": scheduler.sampler,
        "Schedule type": scheduler.schedule_type,
        "CFG scale": f"{settings.guidance_scale:g}",
        "Seed": settings.seed,
        "Size": f"{settings.width}x{settings.height}",
        "Model": settings.model,
        "RNG": "CPU",
        "Version": made.program,
    }
    if settings.source:
        pairs["Denoising strength"] = f"{settings.strength:g}"
    if settings.hires_scale > 1:
        pairs |= {"Denoising strength": f"{settings.hires_strength:g}", "Hires upscale": f"{settings.hires_scale:g}"}
    if settings.variation_strength:
        strength = f"{settings.variation_strength:g}"
        pairs |= {"Variation seed": settings.variation_seed, "Variation seed strength": strength}
    if settings.clip_skip > 1:
        pairs["Clip skip"] = settings.clip_skip
    if settings.vae:
        pairs["VAE"] = Path(settings.vae).name
    if settings.seamless == "both ways":
        pairs["Tiling"] = True
    templates = {"Template": settings.template, "Negative Template": settings.negative_template}
    pairs |= {key: template for key, template in templates.items() if template}
    lines = [settings.prompt]
    if settings.negative_prompt:
        lines.append(f"{_NEGATIVE} {settings.negative_prompt}")
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in pairs.items()))
    return "\n".join(lines)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if re.search(r"[,\n:]", value) else value


def read_a1111(text: str) -> dict[str, str]:
    """Prompt, Negative prompt and every pair of the last line, by A1111's rules; quoted values are unquoted.

    A last line with fewer than three pairs belongs to the prompt.
    """
    *body, last = text.strip().split("\n")
    pairs = _PAIR.findall(last)
    if len(pairs) < 3:
        body, pairs = [*body, last], []
    prompt: list[str] = []
    negative: list[str] = []
    lines = prompt
    for each in body:
        if lines is prompt and each.strip().startswith(_NEGATIVE):
            lines = negative
            each = each.strip().removeprefix(_NEGATIVE).lstrip()
        lines.append(each)
    found = {"Prompt": "\n".join(prompt)}
    if negative:
        found["Negative prompt"] = "\n".join(negative)
    return found | {key: _unquoted(value) for key, value in pairs}


def _unquoted(value: str) -> str:
    if not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        read: Any = json.loads(value)
    except ValueError:
        return value
    return read if isinstance(read, str) else value
