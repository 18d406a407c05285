"""Sample sheets of the pack, as the README and the card show them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, LCMScheduler, StableDiffusionControlNetPipeline, StableDiffusionInpaintPipeline
from PIL import Image

from resources.starter_recipe.controlnet import drawn_lines
from resources.starter_recipe.drawing import NATIVE_SIZE, draw
from resources.starter_recipe.embedding import WORD
from resources.starter_recipe.evaluate import Evaluation
from resources.starter_recipe.lora import merged
from resources.starter_recipe.pack import CONTROLNET, EMBEDDING, FEW_STEPS, STYLE
from resources.starter_recipe.world import Scene

PROMPTS = (
    "a red sailboat on a calm sea at sunset, watercolour",
    "平静的海面上一艘红色的帆船，日落时，水彩",
    "a red house on a meadow by day",
    "two white cats in the snow at night",
    "a blue car and a yellow tree in the city in the rain",
    "a purple butterfly in the desert at sunset, paper cut",
    "夜晚，海上的橙色灯塔，雾中",
    "三朵粉色的花，草地上，线稿",
)
STYLED = ("a green car in the city by day", "an orange fish at sea at sunset", "a white house in the snow at night")
NEW_WORD = (f"an {WORD} house on a meadow by day", f"an {WORD} balloon in the desert", f"an {WORD} car in the city")
TRACED = (Scene("cat", "orange"), Scene("house", "blue", place="snow"), Scene("sailboat", "red", place="sea"))


def write(evaluation: Evaluation, folder: Path) -> None:
    """Write `samples.png`, the prompts in two rows, and `adapters.png`, a row for every other part of the pack."""
    _sheet([evaluation.made(list(PROMPTS)[:4]), evaluation.made(list(PROMPTS)[4:])]).save(folder / "samples.png")
    _sheet([_traced(evaluation), _filled(evaluation), _styled(evaluation), _quick(evaluation)]).save(
        folder / "adapters.png"
    )


def _traced(evaluation: Evaluation) -> np.ndarray:
    """Lines, and what the ControlNet makes of them."""
    drawn = np.stack([draw(scene, 40 + number) for number, scene in enumerate(TRACED)])
    control = drawn_lines(drawn, list(range(len(drawn))))
    net = ControlNetModel.from_pretrained(
        evaluation.folder / CONTROLNET, local_files_only=True, torch_dtype=torch.float32
    )
    pipeline = StableDiffusionControlNetPipeline.from_pipe(evaluation.pipeline, controlnet=net)
    prompts = ["an orange cat on a meadow by day", "a blue house in the snow by day", "a red sailboat at sea by day"]
    made = evaluation.made(prompts, pipeline, image=list(control))
    shown = (control * 255).byte().permute(0, 2, 3, 1).numpy()
    return np.stack([each for pair in zip(shown, made, strict=True) for each in pair])


def _filled(evaluation: Evaluation) -> np.ndarray:
    """Drawings with a hole, and what the base model fills it with."""
    mask = np.zeros((NATIVE_SIZE, NATIVE_SIZE), np.uint8)
    mask[10:122, 24:124] = 255
    scenes = [replace(scene, subject="tree") for scene in TRACED]
    sources = np.stack([draw(scene, 60 + number) for number, scene in enumerate(scenes)])
    prompts = ["a red house on a meadow by day", "a yellow star in the snow by day", "a blue lighthouse at sea by day"]
    pipeline = StableDiffusionInpaintPipeline.from_pipe(evaluation.pipeline)
    made = evaluation.made(
        prompts,
        pipeline,
        image=[Image.fromarray(each) for each in sources],
        mask_image=[Image.fromarray(mask)] * len(sources),
        strength=1.0,
    )
    inside = mask[None, ..., None] > 0
    holes, filled = np.where(inside, sources // 4 + 96, sources), np.where(inside, made, sources)
    return np.stack([each for pair in zip(holes, filled, strict=True) for each in pair])


def _styled(evaluation: Evaluation) -> np.ndarray:
    """The style LoRA at weights 0 and 1."""
    rows: list[np.ndarray] = []
    for weight in (0.0, 1.0):
        with merged(evaluation.pipeline.unet, evaluation.folder / STYLE, weight):
            rows.append(evaluation.made(list(STYLED)))
    return np.stack([each for pair in zip(*rows, strict=True) for each in pair])


def _quick(evaluation: Evaluation) -> np.ndarray:
    """Four steps with the few-step LoRA, and the embedding's colour."""
    pipeline = evaluation.pipeline
    usual = pipeline.scheduler
    pipeline.scheduler = LCMScheduler.from_config(usual.config)
    with merged(pipeline.unet, evaluation.folder / FEW_STEPS, 1.0):
        quick = evaluation.made(list(STYLED), steps=4, guidance_scale=1.0)
    pipeline.scheduler = usual
    pipeline.load_textual_inversion(evaluation.folder / EMBEDDING, token=WORD, local_files_only=True)
    taught = evaluation.made([pipeline.maybe_convert_prompt(prompt, pipeline.tokenizer) for prompt in NEW_WORD])
    return np.concatenate([quick, taught])


def _sheet(rows: list[np.ndarray]) -> Image.Image:
    """Pictures side by side, row below row, a little apart."""
    gap = 4
    size = NATIVE_SIZE + gap
    sheet = Image.new("RGB", (size * max(map(len, rows)) + gap, size * len(rows) + gap), "white")
    for top, row in enumerate(rows):
        for left, each in enumerate(row):
            sheet.paste(Image.fromarray(each), (gap + left * size, gap + top * size))
    return sheet
