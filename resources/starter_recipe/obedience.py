"""Whether the engine does with the pack what it is for, on every backend and precision here: the judge says."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from engine.backends.choice import devices
from engine.uses import ControlUse, LoraUse
from resources.starter_recipe.captions import TAUGHT_WORD, plain
from resources.starter_recipe.classifier import Classifier, said
from resources.starter_recipe.controlnet import drawn_lines
from resources.starter_recipe.evaluate import SEED, difference, drawings, share
from resources.starter_recipe.in_engine import InEngine, mean_psnr
from resources.starter_recipe.lines import agreement, lines
from resources.starter_recipe.pack import CONTROLNET, STYLE
from resources.starter_recipe.world import NOTHING, SUBJECTS, TAUGHT_COLOUR, TAUGHT_STYLE, Scene, scenes

ESSENTIAL = ("subject", "colour", "place", "time")
Figures = dict[str, str]
"""What is measured, and what came of it."""


class Drawn(NamedTuple):
    """What one backend drew: for each part of the pack a picture of each scene, uint8 [n, h, w, 3]."""

    plainly: np.ndarray
    """From the text alone."""
    controlled: np.ndarray
    """Along the lines of drawings of the scenes."""
    restyled: np.ndarray
    recoloured: np.ndarray
    uncoloured: np.ndarray
    """As `recoloured`, without the embedding's word: the colour is the model's choice."""
    filled: np.ndarray
    """Another thing in the place of the drawing's own."""
    some_time: np.ndarray
    """The time of day is the model's choice."""
    not_night: np.ndarray
    """As `some_time`, with night in the negative prompt."""


class Obedience:
    """The pack in `folder`, and the first `count` held-out scenes, flat and in clear weather."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        held_out = islice(scenes(SEED, held_out=True), count)
        self.scenes = [replace(scene, weather="clear", style="flat") for scene in held_out]
        alone = [replace(scene, count="one", other=NOTHING, other_colour=NOTHING) for scene in self.scenes]
        rng = Random(SEED)
        self.taught = [replace(scene, colour=TAUGHT_COLOUR) for scene in alone]
        self.others = [
            replace(scene, subject=rng.choice(SUBJECTS), colour=rng.choice(("red", "blue", "green"))) for scene in alone
        ]
        self.lines = drawn_lines(drawings(self.scenes), list(range(count)))
        self.sources = drawings(alone)
        pairs = zip(self.sources, drawings(self.others), strict=True)
        self.masks = np.stack([np.asarray(difference(*pair)) for pair in pairs])

    def drawn(self, engine: InEngine) -> Drawn:
        """Every picture, by one backend in one precision."""
        prompts, taught, others = (
            [plain(scene, "en") for scene in some] for some in (self.scenes, self.taught, self.others)
        )
        unsaid = [f"a {scene.colour} {scene.subject}" for scene in self.scenes]
        net = str(self.folder / CONTROLNET)
        with TemporaryDirectory(prefix="easel-obedience-") as folder:
            files = Path(folder)
            pixels = (self.lines * 255).byte().permute(0, 2, 3, 1).numpy()
            controls = [(ControlUse(kind="none", image=each, net=net),) for each in _written(files, "lines", pixels)]
            inpaint = {"source": _written(files, "source", self.sources), "mask": _written(files, "mask", self.masks)}
            return Drawn(
                plainly=engine.made(prompts),
                controlled=engine.made(prompts, controls=controls),
                restyled=engine.made(prompts, loras=(LoraUse(name=str(self.folder / STYLE)),)),
                recoloured=engine.made(taught),
                uncoloured=engine.made([prompt.replace(f"an {TAUGHT_WORD}", "a") for prompt in taught]),
                filled=engine.made(others, strength=1.0, **inpaint),
                some_time=engine.made(unsaid),
                not_night=engine.made(unsaid, negative_prompt="at night"),
            )

    def figures(self, judge: Classifier, made: Drawn, exact: Drawn) -> Figures:
        """What the judge finds in the pictures; `exact` are those of torch in float32."""
        seen = Drawn._make(said(judge, pictures) for pictures in made)
        before = said(judge, self.sources)
        lines_of = {name: self._followed(pictures) for name, pictures in made._asdict().items()}
        style, colour = (
            [f"{share(np.array(each[name]) == word):.0%}" for each in some]
            for some, name, word in (
                ((seen.restyled, seen.plainly), "style", TAUGHT_STYLE),
                ((seen.recoloured, seen.uncoloured), "colour", TAUGHT_COLOUR),
            )
        )
        night = [f"{share(np.array(each['time']) == 'night'):.0%}" for each in (seen.some_time, seen.not_night)]
        outside = np.abs(made.filled.astype(int) - self.sources)[self.masks == 0].max()
        subjects = [
            f"{share(_right(each, asked, ('subject',))):.0%}"
            for each, asked in ((seen.restyled, self.scenes), (seen.recoloured, self.taught))
        ]
        all_right = [
            f"{share(_right(each, asked)):.0%}"
            for each, asked in ((seen.plainly, self.scenes), (seen.filled, self.others), (before, self.others))
        ]
        return {
            "text alone: subject, colour, place and time right at once": all_right[0],
            "mean PSNR of the same pictures to torch fp32": f"{mean_psnr(made.plainly, exact.plainly):.1f} dB",
            "ControlNet: F1 of the lines; without it": f"{lines_of['controlled']}; {lines_of['plainly']}",
            "style LoRA: its style seen; without it; subject still right": "; ".join([*style, subjects[0]]),
            "embedding: its colour seen; without it; subject right": "; ".join([*colour, subjects[1]]),
            "inpaint: the other thing right at once; before; greatest change outside": f"{all_right[1]}; {all_right[2]}; {outside}",
            "night, time left open; with 'at night' as negative prompt": "; ".join(night),
        }

    def _followed(self, pictures: np.ndarray) -> str:
        found = lines(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255)
        return f"{float(agreement(found, self.lines[:, :1]).mean()):.2f}"


def engines(folder: Path) -> Iterator[InEngine]:
    """The pack on every backend and in every precision of this machine, torch in float32 first."""
    found = [(device.backend, precision) for device in devices() if device.here for precision in device.precisions]
    for backend, precision in sorted(found, key=lambda each: (each[0] != "torch", each[0], each[1] != "fp32")):
        yield InEngine(folder, backend, precision)


def table(columns: dict[str, Figures]) -> Iterator[str]:
    """Markdown: a row a measure, a column a backend and precision."""
    yield f"| | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for measure in next(iter(columns.values())):
        yield f"| {measure} | {' | '.join(figures[measure] for figures in columns.values())} |"


def _right(found: dict[str, list[str]], asked: list[Scene], names: Sequence[str] = ESSENTIAL) -> np.ndarray:
    """Whether each picture shows these attributes as they were asked for, all at once, bool [n]."""
    right = [[word == getattr(scene, name) for word, scene in zip(found[name], asked, strict=True)] for name in names]
    return np.all(right, axis=0)


def _written(folder: Path, name: str, pictures: np.ndarray) -> list[str]:
    """The pictures, uint8 [n, h, w, 3] or [n, h, w], as files."""
    paths = [folder / f"{name}-{number}.png" for number in range(len(pictures))]
    for path, each in zip(paths, pictures, strict=True):
        Image.fromarray(each).save(path)
    return [str(path) for path in paths]
