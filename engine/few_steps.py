"""Models and LoRAs that draw in few steps: known by their names, and what they want to be run with.

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


def kind_of(name: str) -> str:
    """The kind that a name tells; empty where it tells none."""
    found = _NAMED.search(name)
    return next(each for each in KINDS if each.casefold() == found.group().casefold()) if found else ""


def recognised(names: Iterable[str]) -> FewSteps | None:
    """What the first of the names of a model and its LoRAs asks for that is of a known kind; None where none is.

    “…-8steps-…” in the name says how many; “…CFG…” that it was distilled to be guided as usual. A one-step Hyper LoRA
    is a TCD one, by its authors' word.
    """
    for name in names:
        kind = kind_of(name)
        if not kind:
            continue
        said = _STEPS.search(name)
        steps = int(said.group(1)) if said else 0
        recipe = KINDS["TCD" if kind == "Hyper" and steps == 1 else kind]
        guidance = 5.0 if _GUIDED.search(name) else recipe.guidance_scale
        steps = steps or recipe.steps
        return recipe._replace(steps=steps, most=max(steps, recipe.most), guidance_scale=guidance)
    return None
