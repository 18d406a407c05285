"""The judge of the evaluation: a classifier that says what a picture shows, trained on drawings."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d, cross_entropy

from resources.starter_recipe.drawing import NATIVE_SIZE
from resources.starter_recipe.training import Training, falling
from resources.starter_recipe.world import ATTRIBUTES, NOTHING, Scene

BATCH = 64
RATE = 1.5e-3
FEATURES = 256
Drawn = tuple[np.ndarray, list[Scene]]
"""Pictures uint8 [n, h, w, 3], and what they show."""


class Classifier(torch.nn.Module):
    """Says every attribute of a picture [b, 3, 128, 128] in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for before, after in ((3, 24), (24, 64), (64, 96), (96, 160)):
            layers += [
                torch.nn.Conv2d(before, after, 3, stride=2, padding=1),
                torch.nn.BatchNorm2d(after),
                torch.nn.ReLU(),
            ]
            layers += [torch.nn.Conv2d(after, after, 3, padding=1), torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
        cells = (NATIVE_SIZE // 16) ** 2
        self.body = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(160 * cells, FEATURES))
        self.heads = torch.nn.ModuleList(torch.nn.Linear(FEATURES, len(words)) for words in ATTRIBUTES.values())

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """What it sees in a picture, [b, 256]."""
        return self.body(pixels).relu()

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        seen = self.features(pixels)
        return [head(seen) for head in self.heads]


def train(path: Path, drawn: list[Drawn], *, minutes: float, seed: int = 1) -> Classifier:
    """Train on the drawings with a little blur and noise, so that it does not lean on their crispness."""
    torch.manual_seed(seed)
    model = Classifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.02)
    training = Training(path, minutes, model=model, optimizer=optimizer)
    labels = [torch.tensor([scene.labels for scene in scenes]) for _, scenes in drawn]
    for (_, scenes), known in zip(drawn, labels, strict=True):
        alone = torch.tensor([scene.other == NOTHING for scene in scenes])
        known[alone, list(ATTRIBUTES).index("side")] = -100  # what cross_entropy leaves out
    shares = [len(scenes) for _, scenes in drawn]
    rng = Random(seed + training.step)
    for done in training.steps():
        # Every kind in every batch: batch norm would take a batch of one kind for a world of its own.
        kinds = Counter(rng.choices(range(len(drawn)), shares, k=BATCH))
        rows = {kind: [rng.randrange(shares[kind]) for _ in range(count)] for kind, count in kinds.items()}
        pixels = _disturbed(torch.cat([prepared(drawn[kind][0][some]) for kind, some in rows.items()]), rng)
        truth = torch.cat([labels[kind][some] for kind, some in rows.items()])
        with torch.autocast("cpu", torch.bfloat16):
            said = model(pixels)
        loss = torch.stack([cross_entropy(each.float(), truth[:, column]) for column, each in enumerate(said)])
        training.descend(loss.nan_to_num().sum(), optimizer, RATE * falling(done, training.step))
    return model.eval()


@torch.no_grad()
def said(model: Classifier, pictures: np.ndarray) -> dict[str, list[str]]:
    """The word of each attribute, for each of the pictures uint8 [n, h, w, 3]."""
    parts = [model(prepared(pictures[first : first + BATCH])) for first in range(0, len(pictures), BATCH)]
    found = [torch.cat([part[column] for part in parts]).argmax(1).tolist() for column in range(len(ATTRIBUTES))]
    return {
        name: [words[number] for number in numbers]
        for (name, words), numbers in zip(ATTRIBUTES.items(), found, strict=True)
    }


@torch.no_grad()
def kernel_distance(model: Classifier, ours: np.ndarray, theirs: np.ndarray) -> float:
    """KID (Binkowski et al. 2018) on the classifier's own features: the squared MMD of a cubic kernel, unbiased.

    The features are scaled so that those of `theirs` have a mean square of 1.
    """
    one, other = (model.features(prepared(each)) for each in (ours, theirs))
    scale = other.square().mean().sqrt()
    one, other = one / scale, other / scale
    within = [_kernel(each, each) for each in (one, other)]
    own = [(each.sum() - each.trace()) / (len(each) * (len(each) - 1)) for each in within]
    return float(own[0] + own[1] - 2 * _kernel(one, other).mean())


def prepared(pictures: np.ndarray) -> torch.Tensor:
    """Pictures uint8 [n, h, w, 3] as the classifier takes them; other sizes are squeezed into the native one."""
    if pictures.shape[1:3] != (NATIVE_SIZE, NATIVE_SIZE):
        some = [Image.fromarray(each).resize((NATIVE_SIZE,) * 2, Image.Resampling.BOX) for each in pictures]
        pictures = np.stack([np.asarray(each) for each in some])
    pixels = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def _disturbed(pixels: torch.Tensor, rng: Random) -> torch.Tensor:
    if rng.random() < 0.5:
        pixels = avg_pool2d(pixels, 3, stride=1, padding=1)
    return pixels + 0.1 * rng.random() * torch.randn_like(pixels)


def _kernel(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one @ other.T / FEATURES + 1) ** 3
