"""Judges the model: a classifier trained on drawings says what its pictures of held-out prompts show."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch.nn.functional import cross_entropy

from resources.starter_recipe.captions import LANGUAGES, plain
from resources.starter_recipe.drawing import draw
from resources.starter_recipe.world import ATTRIBUTES, Scene, random_scenes

GUIDANCE, STEPS, BATCH = 6.0, 20, 32


class Classifier(torch.nn.Module):
    """Says subject, colour, place and time of a picture [b, 3, h, w] in -1 to 1; sees it at a quarter of its pixels."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for before, after in ((3, 32), (32, 64), (64, 96), (96, 128)):
            layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1), torch.nn.BatchNorm2d(after)]
            layers += [torch.nn.ReLU(), torch.nn.Conv2d(after, after, 3, padding=1), torch.nn.ReLU()]
        self.body = torch.nn.Sequential(torch.nn.AvgPool2d(2), *layers, torch.nn.Flatten(), torch.nn.LazyLinear(256))
        self.heads = torch.nn.ModuleList(torch.nn.Linear(256, len(words)) for words in ATTRIBUTES.values())

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        seen = self.body(pixels).relu()
        return [head(seen) for head in self.heads]


def train_classifier(pictures: np.ndarray, scenes: list[Scene], *, steps: int = 700, seed: int = 1) -> Classifier:
    """Trained on the drawings with a little blur and noise, so that it does not lean on their crispness."""
    torch.manual_seed(seed)
    model = Classifier()
    model(_pixels(pictures[:2]))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
    labels = torch.tensor([scene.labels for scene in scenes])
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = np.sort(rng.integers(len(pictures), size=BATCH))
        pixels = _pixels(pictures[rows])
        pixels = pixels + 0.1 * rng.random() * torch.randn_like(pixels)
        if rng.random() < 0.5:
            pixels = torch.nn.functional.avg_pool2d(pixels, 3, stride=1, padding=1)
        truth = labels[torch.from_numpy(rows)]
        loss = sum(cross_entropy(said, truth[:, column]) for column, said in enumerate(model(pixels)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return model.eval()


def judge(model: Path, classifier: Classifier, *, prompts: int, seed: int = 5) -> dict[str, Any]:
    """Shares found right: for the classifier itself on new drawings, and for the model in each language."""
    scenes = random_scenes(prompts, held_out=True, seed=seed)
    drawn = np.stack([draw(scene, 10_000_000 + place) for place, scene in enumerate(scenes)])
    table: dict[str, Any] = {"prompts": prompts, "drawings": _shares(classifier, drawn, scenes)}
    pipeline = StableDiffusionPipeline.from_pretrained(model, local_files_only=True, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config, algorithm_type="dpmsolver++", solver_order=2, timestep_spacing="trailing"
    )
    for language in LANGUAGES:
        began = time.monotonic()
        made = _made(pipeline, [plain(scene, language) for scene in scenes], seed)
        table[language] = _shares(classifier, made, scenes) | {"seconds": round(time.monotonic() - began)}
    return table


def _made(pipeline: StableDiffusionPipeline, prompts: list[str], seed: int) -> np.ndarray:
    pictures: list[np.ndarray] = []
    for first in range(0, len(prompts), 16):
        some = prompts[first : first + 16]
        noise = [torch.Generator().manual_seed(seed * 100_000 + first + place) for place in range(len(some))]
        with torch.autocast("cpu", torch.bfloat16):
            images = pipeline(
                some, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=noise, output_type="np"
            )
        pictures.append((images.images * 255).round().astype(np.uint8))
    return np.concatenate(pictures)


def _shares(classifier: Classifier, pictures: np.ndarray, scenes: list[Scene]) -> dict[str, float]:
    with torch.no_grad():
        said = torch.stack([each.argmax(1) for each in classifier(_pixels(pictures))], dim=1)
    right = said == torch.tensor([scene.labels for scene in scenes])
    shares = {name: right[:, column].float().mean().item() for column, name in enumerate(ATTRIBUTES)}
    return {name: round(share, 3) for name, share in (shares | {"all": right.all(1).float().mean().item()}).items()}


def _pixels(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
