"""Models and LoRAs that draw in few steps: known by the names they are published under, and what they are run with.

Their authors' own advice: LCM (Luo et al. 2023), SDXL Turbo (Sauer et al. 2023), SDXL-Lightning (Lin et al. 2024),
Hyper-SD (Ren et al. 2024), TCD (Zheng et al. 2024), DMD2 (Yin et al. 2024).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple


class FewSteps(NamedTuple):
    """How a distilled model is run."""

    scheduler: str
    steps: int
    """Where the name does not say."""
    most: int
    """More steps than this make nothing better."""
    guidance_scale: float = 1.0


KINDS: dict[str, FewSteps] = {
    "LCM": FewSteps("LCM", 4, 8),
    "Turbo": FewSteps("Euler a trailing", 4, 8),
    "Lightning": FewSteps("Euler trailing", 4, 8),
    "Hyper": FewSteps("DDIM trailing", 8, 12),
    "TCD": FewSteps("TCD", 4, 12),
    "DMD2": FewSteps("LCM", 4, 8),
}
_NAMED = re.compile(rf"(?<![a-z])({'|'.join(KINDS)})(?![a-z])", re.IGNORECASE)
_STEPS = re.compile(r"(?<!\d)(\d{1,2})[ _-]?steps?(?![a-z])", re.IGNORECASE)
_GUIDED = re.compile(r"(?<![a-z])cfg(?![a-z])", re.IGNORECASE)
_ORDINARY = ("Turbo", "Lightning", "Hyper")
"""Kinds that are called like many other things."""
_PUBLISHED = re.compile(
    r"((sd|stable[ _-]diffusion)([ _-]?(xl|21|3(\.5)?))?|flux(\.1)?([ _-]dev)?)([ _-](large|medium))?[ _-]"
    r"(turbo|lightning)TAIL|hyper[ _-]?(sd(xl|15)?|flux)TAIL".replace(
        "TAIL", r"([ _-](v?\d[\d.]*|fp16|bf16|fp8|alpha|base|lora|unet))*"
    ),
    re.IGNORECASE,
)


def kind_of(name: str) -> str:
    """The kind that stands in the name of a base model, and that is likely of a file; empty where none does."""
    found = _NAMED.search(name)
    return next(each for each in KINDS if each.casefold() == found.group().casefold()) if found else ""


def recipe(kind: str, name: str) -> FewSteps:
    """How a model or LoRA of a kind of KINDS is run.

    “…-8steps-…” in its name says how many; “…CFG…” that it was distilled to be guided as usual. A one-step Hyper LoRA
    is a TCD one, by its authors' word.
    """
    said = _STEPS.search(name)
    steps = int(said.group(1)) if said else 0
    found = KINDS["TCD" if kind == "Hyper" and steps == 1 else kind]
    guidance = 5.0 if _GUIDED.search(name) else found.guidance_scale
    steps = steps or found.steps
    return found._replace(steps=steps, most=max(steps, found.most), guidance_scale=guidance)


def recognised(names: Iterable[str]) -> FewSteps | None:
    """What the first of the names of a model and its LoRAs asks for that is surely of a kind; None where none is.

    A word that other things are called by, too, counts with a number of steps, or in the names of the first models.
    """
    for name in names:
        kind = kind_of(name)
        if kind and (kind not in _ORDINARY or _STEPS.search(name) or _PUBLISHED.fullmatch(name)):
            return recipe(kind, name)
    return None
