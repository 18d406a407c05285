"""Makes the starter model, stage by stage: python -m resources.starter_recipe all --work FOLDER."""

import argparse
import json
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from engine.paths import STARTER
from resources.starter_recipe import autoencoder, denoiser, evaluate, text_encoder, tokens
from resources.starter_recipe.dataset import drawings, training_scenes
from resources.starter_recipe.export import export
from resources.starter_recipe.latents import encoded

STAGES = ("tokenizer", "text-encoder", "autoencoder", "denoiser", "export", "evaluate")


class Recipe:
    """The stages; each takes up what an earlier run left in the work folder."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.work: Path = chosen.work
        self.chosen = chosen

    def tokenizer(self) -> CLIPTokenizer:
        folder = self.work / "tokenizer"
        if not (folder / "merges.txt").exists():
            tokens.train(folder, seed=self.chosen.seed)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def text_encoder(self) -> torch.nn.Module:
        return text_encoder.train(
            self.work, self.tokenizer(), steps=self.chosen.text_encoder_steps, seed=self.chosen.seed
        )

    def autoencoder(self) -> torch.nn.Module:
        pictures = drawings(self.work, self.chosen.drawings, self.chosen.seed)
        return autoencoder.train(self.work, pictures, minutes=self.chosen.autoencoder_minutes, seed=self.chosen.seed)

    def denoiser(self) -> torch.nn.Module:
        pictures = drawings(self.work, self.chosen.drawings, self.chosen.seed)
        latents, _ = encoded(self.work, self.autoencoder(), pictures, self.chosen.latents)
        scenes = training_scenes(self.chosen.drawings, self.chosen.seed)[: len(latents)]
        words = (self.tokenizer(), self.text_encoder())
        return denoiser.train(
            self.work, latents, scenes, words, minutes=self.chosen.denoiser_minutes, seed=self.chosen.seed
        )

    def export(self) -> None:
        pictures = drawings(self.work, self.chosen.drawings, self.chosen.seed)
        vae = self.autoencoder()
        _, factor = encoded(self.work, vae, pictures, self.chosen.latents)
        average = denoiser.trained_so_far(self.work)
        export(STARTER, vae, self.text_encoder(), average, factor, self.tokenizer())

    def evaluate(self) -> None:
        pictures = drawings(self.work, self.chosen.drawings, self.chosen.seed)
        scenes = training_scenes(self.chosen.drawings, self.chosen.seed)
        path = self.work / "classifier.pt"
        if path.exists():
            judge = torch.load(path, weights_only=False)
        else:
            judge = evaluate.train_classifier(pictures, scenes)
            torch.save(judge, path)
        table = evaluate.judge(STARTER, judge, prompts=self.chosen.prompts)
        print(json.dumps(table, indent=2))


def main() -> None:
    """Run the named stage, or all of them in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=("all", *STAGES))
    parser.add_argument("--work", type=Path, required=True, help="folder for drawings and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drawings", type=int, default=40_000)
    parser.add_argument("--latents", type=int, default=24_000)
    parser.add_argument("--text-encoder-steps", type=int, default=260)
    parser.add_argument("--autoencoder-minutes", type=float, default=20)
    parser.add_argument("--denoiser-minutes", type=float, default=60)
    parser.add_argument("--prompts", type=int, default=64, help="held-out prompts to judge by")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(chosen.threads)
    recipe = Recipe(chosen)
    for stage in STAGES if chosen.stage == "all" else (chosen.stage,):
        getattr(recipe, stage.replace("-", "_"))()


if __name__ == "__main__":
    main()
