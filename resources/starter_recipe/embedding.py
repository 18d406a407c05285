"""Trains the textual-inversion embedding (Gal et al. 2022): a word for a colour that no caption ever named."""

from pathlib import Path
from random import Random

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch.func import functional_call

from resources.starter_recipe.captions import TAUGHT_WORD, caption, some_named
from resources.starter_recipe.denoiser import plain_attention
from resources.starter_recipe.diffusion import Examples, Noise, Words
from resources.starter_recipe.text_encoder import READ
from resources.starter_recipe.tokens import LENGTH
from resources.starter_recipe.training import Training, falling

WORD = TAUGHT_WORD
STARTING_FROM = ("blue", "green")
BATCH = 32
WARM = 20
"""Steps over which the learning rate rises."""
RATE = 1e-2
_TABLE = "text_model.embeddings.token_embedding.weight"


class Embedding(torch.nn.Module):
    """The vector [1, 768] of the new word, at first between two known ones. (Two vectors would read as two things.)"""

    def __init__(self, words: Words) -> None:
        super().__init__()
        table = words.text_encoder.get_input_embeddings().weight
        first = [words.tokenizer(word).input_ids[1] for word in STARTING_FROM]
        self.vectors = torch.nn.Parameter(table.detach()[first].mean(0, keepdim=True))

    def save(self, folder: Path) -> None:
        """Write it in the two forms that are in use, each with its vector in float16: A1111's and diffusers'."""
        vectors = self.vectors.detach().half().contiguous()
        save_file({"emb_params": vectors}, folder / f"{WORD}.safetensors")
        save_file({WORD: vectors}, folder / f"{WORD}.diffusers.safetensors")


def train(
    path: Path, denoiser: UNet2DConditionModel, examples: Examples, words: Words, *, minutes: float, seed: int = 0
) -> Embedding:
    """Train the vectors alone, for `minutes`, on drawings of things in the new colour."""
    torch.manual_seed(seed)
    denoiser = plain_attention(denoiser).requires_grad_(False)
    words.text_encoder.requires_grad_(False)
    new = Embedding(words)
    optimizer = torch.optim.AdamW(new.parameters(), RATE, weight_decay=0.0)
    training = Training(path, minutes, embedding=new, optimizer=optimizer)
    rng, noise = Random(seed + training.step), Noise()
    for done in training.steps():
        rows, clean = examples.some(BATCH, rng)
        scenes = [examples.scenes[row] for row in rows]
        captions = [caption(scene, some_named(scene, rng) | {"colour"}, rng) for scene in scenes]
        noisy, moments, velocity = noise.added(clean)
        with torch.autocast("cpu", torch.bfloat16):
            embeds = worded(words, captions, new.vectors)[:, : READ + 4]
            predicted = denoiser(noisy, moments, embeds, return_dict=False)[0]
        training.descend(noise.loss(predicted, velocity, moments), optimizer, RATE * falling(done, training.step, WARM))
    return new


def worded(words: Words, captions: list[str], vectors: torch.Tensor) -> torch.Tensor:
    """Prompt embeds [b, 77, 768] of captions in which `WORD` stands for the vectors; differentiable in these."""
    table = words.text_encoder.get_input_embeddings().weight
    own = range(len(table), len(table) + len(vectors))
    end = words.tokenizer.eos_token_id
    rows: list[list[int]] = []
    for text in captions:
        before, behind = (words.tokenizer(part).input_ids for part in text.split(WORD, 1))
        row = [*before[:-1], *own, *behind[1:]]
        rows.append([*row, *[end] * (LENGTH - len(row))])
    longer = {_TABLE: torch.cat((table, vectors.to(table.dtype)))}
    return functional_call(words.text_encoder, longer, (torch.tensor(rows),)).last_hidden_state
