"""Trains the text encoder: captions of one scene, in whatever words or language, are to mean the same."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch
from torch.nn.functional import cross_entropy, mse_loss
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from resources.starter_recipe.captions import caption, some_named
from resources.starter_recipe.tokens import LENGTH
from resources.starter_recipe.world import ATTRIBUTES, Scene, scenes

WIDTH = 768
"""As Stable Diffusion 1.x has it, so that adapters and headers are alike."""
BATCH = 32
STEPS = 1500
RATE = 5e-4
ALIGNMENT = 0.5
READ = 36
"""Tokens that are trained on, longer than any caption; the positions behind them share the last one's embedding."""


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained one of two layers."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=1024,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=12,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def train(path: Path, tokenizer: CLIPTokenizer, *, steps: int = STEPS, seed: int = 0) -> CLIPTextModel:
    """Teach it to name the attributes of a caption from any place at or after its end, alike in all languages."""
    model = new_text_encoder(tokenizer)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    torch.manual_seed(seed)
    heads = torch.nn.ModuleDict({name: torch.nn.Linear(WIDTH, len(words) + 1) for name, words in ATTRIBUTES.items()})
    weights = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, RATE, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps, pct_start=0.1)
    for step, (tokens, labels) in enumerate(_batches(tokenizer, steps, seed), start=1):
        loss, right = _loss(model, heads, tokens, labels, tokenizer.eos_token_id)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        if step % 25 == 0:
            print(f"step {step} of {steps} loss {loss.item():.4f} attributes right {right:.1%}", flush=True)
    with torch.no_grad():
        positions = model.text_model.embeddings.position_embedding.weight
        positions[READ:] = positions[READ - 1]
    torch.save(model.state_dict(), path)
    return model.eval()


def tokens_of(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids [b, 77], as diffusers' pipelines make them."""
    return tokenizer(texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt").input_ids


def _batches(tokenizer: CLIPTokenizer, steps: int, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids [2b, READ], a scene's two captions b rows apart, and labels [b, attributes], 0 for 'not named'."""
    rng = Random(seed)
    known = scenes(seed, held_out=False)
    for _ in range(steps):
        some = [(scene, some_named(scene, rng)) for scene in islice(known, BATCH)]
        texts = [caption(scene, named, rng) for _ in range(2) for scene, named in some]
        yield tokens_of(tokenizer, texts)[:, :READ], torch.tensor([_labels(scene, named) for scene, named in some])


def _labels(scene: Scene, named: frozenset[str]) -> list[int]:
    return [number + 1 if name in named else 0 for name, number in zip(ATTRIBUTES, scene.labels, strict=True)]


def _loss(
    model: CLIPTextModel, heads: torch.nn.ModuleDict, tokens: torch.Tensor, labels: torch.Tensor, end: int
) -> tuple[torch.Tensor, float]:
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model(tokens).last_hidden_state
    hidden = hidden.float()
    ends = (tokens == end).int().argmax(dim=1)
    later = (ends + (torch.rand(len(ends)) * (READ - ends)).long()).clamp(max=READ - 1)
    rows = torch.arange(len(ends))
    loss = torch.zeros(())
    right: list[torch.Tensor] = []
    for seen in (hidden[rows, ends], hidden[rows, later]):
        for column, head in enumerate(heads.values()):
            said, truth = head(seen), labels[:, column].repeat(2)
            loss = loss + cross_entropy(said, truth)
            right.append((said.argmax(1) == truth).float().mean())
        first, second = seen.chunk(2)
        loss = loss + ALIGNMENT * mse_loss(first, second)
    return loss, torch.stack(right).mean().item()
