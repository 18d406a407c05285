"""Judges the pack: how much of what the prompts ask for a classifier finds in the pictures."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from resources.starter_recipe.captions import LANGUAGES, plain
from resources.starter_recipe.classifier import Classifier, kernel_distance, said
from resources.starter_recipe.controlnet import drawn_lines
from resources.starter_recipe.drawing import NATIVE_SIZE, draw
from resources.starter_recipe.embedding import WORD
from resources.starter_recipe.in_engine import InEngine, mean_psnr
from resources.starter_recipe.lines import agreement, lines
from resources.starter_recipe.lora import merged
from resources.starter_recipe.pack import CONTROLNET, EMBEDDING, FEW_STEPS, MODEL, STYLE
from resources.starter_recipe.world import NOTHING, SUBJECTS, TAUGHT_COLOUR, TAUGHT_STYLE, Scene, scenes

GUIDANCE, STEPS, BATCH, SEED = 6.0, 20, 16, 5
SIZES = ((192, 128), (128, 192), (192, 192))


class Evaluation:
    """The pack in `folder`, the judge, and the held-out scenes that are asked for."""

    def __init__(self, folder: Path, judge: Classifier, prompts: int) -> None:
        self.folder, self.judge = folder, judge
        self.scenes = list(islice(scenes(SEED, held_out=True), prompts))
        self.pipeline = StableDiffusionPipeline.from_pretrained(
            folder / MODEL, local_files_only=True, torch_dtype=torch.float32
        )
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
            self.pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
        )

    def table(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each measure by its name, as it is found."""
        reference = drawings(self.scenes)
        yield "the classifier on new drawings", self.shares(reference, self.scenes)
        taught = [replace(scene, style=TAUGHT_STYLE) for scene in self.scenes[:100]]
        yield "the classifier on new drawings in the LoRA's style", self.shares(drawings(taught), taught)
        taught = [replace(scene, colour=TAUGHT_COLOUR) for scene in self.scenes[:100]]
        yield "the classifier on new drawings in the embedding's colour", self.shares(drawings(taught), taught)
        for language in LANGUAGES:
            made = self.made([plain(scene, language) for scene in self.scenes])
            yield language, self.shares(made, self.scenes)
            if language == "en":
                again = drawings(self.scenes, seed=90_000_000)
                near, far = kernel_distance(self.judge, again, reference), kernel_distance(self.judge, made, reference)
                yield "kernel distance to drawings", {"pictures": round(far, 4), "other drawings": round(near, 4)}
        few = self.scenes[:48]
        prompts = [plain(scene, "en") for scene in few]
        for guidance in (1.0, 3.0):
            made = self.made(prompts, guidance_scale=guidance)
            yield f"guidance {guidance:g}", self.shares(made, few)
        for size in SIZES:
            named = f"the classifier on new drawings of {size[0]} x {size[1]}"
            yield named, self.shares(drawings(few, size=size), few)
            made = self.made(prompts, width=size[0], height=size[1])
            yield f"{size[0]} x {size[1]}", self.shares(made, few)
        yield "int8", self.int8(few)
        yield "negative prompt", self.negative()
        yield "few-step LoRA, 4 steps", self.few_steps(few)
        yield "style LoRA", self.style(few)
        yield "ControlNet", self.control()
        yield "inpaint", self.inpaint()
        yield "embedding", self.embedding(few)  # the last: the word stays in the tokenizer

    def shares(self, pictures: np.ndarray, asked: list[Scene]) -> dict[str, float]:
        """The share of pictures that show each attribute as asked, and several of them at once."""
        found = said(self.judge, pictures)
        right = {
            name: np.array([word == getattr(scene, name) for word, scene in zip(words, asked, strict=True)])
            for name, words in found.items()
        }
        two = np.array([scene.other != NOTHING for scene in asked])
        several = np.array([scene.count != "one" for scene in asked])
        unusual = np.array([scene.weather != "clear" for scene in asked])
        shares = {
            "subject": right["subject"],
            "colour": right["colour"],
            "place and time": right["place"] & right["time"],
            "all": right["subject"] & right["colour"] & right["place"] & right["time"],
            "second thing and its colour": (right["other"] & right["other_colour"])[two],
            "two or three": right["count"][several],
            "weather": right["weather"][unusual],
            "style": right["style"],
        }
        return {name: share(each) for name, each in shares.items()}

    def made(self, prompts: list[str], pipeline: Any = None, steps: int = STEPS, **settings: Any) -> np.ndarray:
        """A picture of each prompt, uint8 [n, h, w, 3]; lists among the settings go prompt by prompt."""
        usual = {"guidance_scale": GUIDANCE, "width": NATIVE_SIZE, "height": NATIVE_SIZE}
        pictures: list[np.ndarray] = []
        for first in range(0, len(prompts), BATCH):
            some = slice(first, min(first + BATCH, len(prompts)))
            own = {name: each[some] if isinstance(each, list) else each for name, each in settings.items()}
            noise = [torch.Generator().manual_seed(SEED * 100_000 + place) for place in range(some.start, some.stop)]
            with torch.autocast("cpu", torch.bfloat16):
                images = (pipeline or self.pipeline)(
                    prompts[some], num_inference_steps=steps, generator=noise, output_type="np", **(usual | own)
                )
            pictures.append((images.images * 255).round().astype(np.uint8))
        return np.concatenate(pictures)

    def int8(self, asked: list[Scene]) -> dict[str, float]:
        """How far int8 is from float32 on OpenVINO, in dB and in what is right."""
        prompts = [plain(scene, "en") for scene in asked]
        exact, quick = (InEngine(self.folder, "openvino", precision).made(prompts) for precision in ("fp32", "int8"))
        return {
            "mean PSNR in dB": round(mean_psnr(quick, exact), 1),
            "all, fp32": self.shares(exact, asked)["all"],
            "all, int8": self.shares(quick, asked)["all"],
        }

    def negative(self) -> dict[str, float]:
        """How often pictures whose prompt leaves the time open show night, without and with 'at night' as negative."""
        prompts = [f"a {scene.colour} {scene.subject}" for scene in self.scenes[:60]]
        free, without = self.made(prompts), self.made(prompts, negative_prompt=["at night"] * len(prompts))
        shares = [share(np.array(said(self.judge, each)["time"]) == "night") for each in (free, without)]
        return {"night, nothing said": shares[0], "night, in the negative prompt": shares[1]}

    def few_steps(self, asked: list[Scene]) -> dict[str, float]:
        """What four steps without guidance keep."""
        scheduler = self.pipeline.scheduler
        self.pipeline.scheduler = LCMScheduler.from_config(scheduler.config)
        with merged(self.pipeline.unet, self.folder / FEW_STEPS, 1.0):
            made = self.made([plain(scene, "en") for scene in asked], steps=4, guidance_scale=1.0)
        self.pipeline.scheduler = scheduler
        return self.shares(made, asked)

    def style(self, asked: list[Scene]) -> dict[str, float]:
        """How often the LoRA's style is seen at weights 1 and 0, and whether the subject stays."""
        flat = [replace(scene, style="flat") for scene in asked]
        found: list[dict[str, list[str]]] = []
        for weight in (1.0, 0.0):
            with merged(self.pipeline.unet, self.folder / STYLE, weight):
                found.append(said(self.judge, self.made([plain(scene, "en") for scene in flat])))
        shares = [share(np.array(each["style"]) == TAUGHT_STYLE) for each in found]
        kept = share(np.array([a == scene.subject for a, scene in zip(found[0]["subject"], flat, strict=True)]))
        return {"style at weight 1": shares[0], "style at weight 0": shares[1], "subject at weight 1": kept}

    def control(self) -> dict[str, float]:
        """Agreement with lines of drawings at weights 1 and 0, and of the pictures with lines of others."""
        asked = [replace(scene, weather="clear", style="flat") for scene in self.scenes[:64]]
        control = drawn_lines(drawings(asked), list(range(len(asked))))
        net = ControlNetModel.from_pretrained(
            self.folder / CONTROLNET, local_files_only=True, torch_dtype=torch.float32
        )
        pipeline = StableDiffusionControlNetPipeline.from_pipe(self.pipeline, controlnet=net)
        prompts, agreements = [plain(scene, "en") for scene in asked], {}
        for weight in (1.0, 0.0):
            made = self.made(prompts, pipeline, image=list(control), controlnet_conditioning_scale=weight)
            found = lines(torch.from_numpy(made).permute(0, 3, 1, 2).float() / 255)
            agreements[f"F1 at weight {weight:g}"] = agreement(found, control[:, :1]).mean()
            agreements[f"F1 at weight {weight:g} with other lines"] = agreement(found, control[:, :1].roll(1, 0)).mean()
        return {name: round(float(each), 3) for name, each in agreements.items()}

    def inpaint(self) -> dict[str, float]:
        """Whether another thing, asked for where the subject was, is there; what lies outside the mask is kept."""
        rng = Random(SEED)
        before = [
            replace(scene, weather="clear", style="flat", count="one", other=NOTHING, other_colour=NOTHING)
            for scene in self.scenes[:100]
        ]
        asked = [
            replace(scene, subject=rng.choice(SUBJECTS), colour=rng.choice(("red", "blue", "green")))
            for scene in before
        ]
        sources = drawings(before)
        masks = [difference(*pair) for pair in zip(sources, drawings(asked), strict=True)]
        images = [Image.fromarray(each) for each in sources]
        pipeline = StableDiffusionInpaintPipeline.from_pipe(self.pipeline)
        made = self.made(
            [plain(scene, "en") for scene in asked], pipeline, image=images, mask_image=masks, strength=1.0
        )
        inside = np.stack([np.asarray(mask) for mask in masks])[..., None] > 0
        stitched = np.where(inside, made, sources)
        found = self.shares(stitched, asked)
        return {name: found[name] for name in ("subject", "colour", "place and time", "all")}

    def embedding(self, asked: list[Scene]) -> dict[str, float]:
        """How often the new colour is seen, with the embedding and without."""
        taught = [replace(scene, colour=TAUGHT_COLOUR, other=NOTHING, other_colour=NOTHING) for scene in asked]
        prompts = [plain(scene, "en") for scene in taught]
        without = said(self.judge, self.made(prompts))
        self.pipeline.load_textual_inversion(self.folder / EMBEDDING, token=WORD, local_files_only=True)
        prompts = [self.pipeline.maybe_convert_prompt(prompt, self.pipeline.tokenizer) for prompt in prompts]
        found = said(self.judge, self.made(prompts))
        right = [a == scene.subject for a, scene in zip(found["subject"], taught, strict=True)]
        return {
            "colour with it": share(np.array(found["colour"]) == TAUGHT_COLOUR),
            "colour without": share(np.array(without["colour"]) == TAUGHT_COLOUR),
            "subject with it": share(np.array(right)),
        }


def drawings(
    asked: list[Scene], seed: int = 50_000_000, size: tuple[int, int] = (NATIVE_SIZE, NATIVE_SIZE)
) -> np.ndarray:
    """New drawings of the scenes, uint8 [n, h, w, 3]."""
    return np.stack([draw(scene, seed + place, size) for place, scene in enumerate(asked)])


def difference(one: np.ndarray, other: np.ndarray) -> Image.Image:
    """A mask over the rectangle in which two drawings differ, and eight pixels around it."""
    rows, columns = np.nonzero(np.abs(one.astype(int) - other).max(axis=2) > 8)
    mask = np.zeros(one.shape[:2], np.uint8)
    if len(rows):
        mask[max(0, rows.min() - 8) : rows.max() + 9, max(0, columns.min() - 8) : columns.max() + 9] = 255
    return Image.fromarray(mask)


def share(right: np.ndarray) -> float:
    return round(float(right.mean()), 3) if len(right) else float("nan")
