"""Makes and judges the starter pack, stage by stage: python -m resources.starter_recipe all --work FOLDER."""

import argparse
import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from engine.paths import STARTER
from resources.starter_recipe import (
    autoencoder,
    classifier,
    controlnet,
    denoiser,
    embedding,
    few_steps,
    obedience,
    pack,
    preview_decoder,
    samples,
    style,
    text_encoder,
    tokens,
)
from resources.starter_recipe.autoencoder import Encoded
from resources.starter_recipe.dataset import drawings
from resources.starter_recipe.diffusion import Examples, Words
from resources.starter_recipe.evaluate import Evaluation
from resources.starter_recipe.in_engine import InEngine
from resources.starter_recipe.latents import latents, scaling_factor
from resources.starter_recipe.world import TAUGHT_COLOUR, TAUGHT_STYLE, Scene, scenes

NATIVE = (128, 128)
OTHER_SIZES = ((192, 128), (128, 192), (192, 192))
KINDS = ((NATIVE, ""), (NATIVE, "style"), (NATIVE, "colour"), *((size, "") for size in OTHER_SIZES))
"""Sizes of drawings, and what they show besides the base model's world."""
UNNAMED = 0.04
"""The share of drawings in the colour that no caption names, so that the embedding has something to name."""
OBEDIENCE = 32
"""Scenes that the engine draws, eight pictures each, on every backend and in every precision."""
MINUTES = {
    "autoencoder": 22.0,
    "denoiser": 95.0,
    "decoder": 20.0,
    "preview-decoder": 2.0,
    "controlnet": 24.0,
    "style": 6.0,
    "embedding": 3.0,
    "few-steps": 7.0,
    "classifier": 5.0,
}
"""The stages that train for so many minutes, on two cores with AMX."""


class Recipe:
    """The stages; each takes up what an earlier run left in the work folder, or what `begin` puts there."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.work, self.target = chosen.work, chosen.target
        self.seed, self.drawings, self.prompts = chosen.seed, chosen.drawings, chosen.prompts
        self.text_encoder_steps = chosen.text_encoder_steps
        self.minutes = {name: getattr(chosen, f"{name.replace('-', '_')}_minutes") for name in MINUTES}

    def begin(self) -> None:
        """Take the weights that ship for checkpoints, to go on from them where no work folder was kept."""
        pack.begin_from(self.target, self.work, self.minutes["autoencoder"])

    def tokenizer(self) -> CLIPTokenizer:
        """Learn the byte pairs of the captions."""
        folder = self.work / "tokenizer"
        if not (folder / "merges.txt").exists():
            tokens.train(folder, seed=self.seed)
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)

    def text_encoder(self) -> CLIPTextModel:
        """Teach the languages to mean the same."""
        return text_encoder.train(
            self.work / "text_encoder.pt", self.tokenizer(), steps=self.text_encoder_steps, seed=self.seed
        )

    def autoencoder(self) -> AutoencoderKL:
        """Teach the latents."""
        model = autoencoder.train(
            self.work / "autoencoder.pt", self._pictures(), minutes=self.minutes["autoencoder"], seed=self.seed
        )
        factor = scaling_factor(self.work / "scaling_factor.json", model, self._pictures())
        model.register_to_config(scaling_factor=factor)
        return model

    def denoiser(self) -> UNet2DConditionModel:
        """Teach drawing."""
        others = [self._examples(size) for size in OTHER_SIZES]
        return denoiser.train(
            self.work / "denoiser.pt",
            self._examples().with_some(self._examples(taught="colour"), UNNAMED),
            others,
            self._words(),
            minutes=self.minutes["denoiser"],
            seed=self.seed,
        )

    def decoder(self) -> AutoencoderKL:
        """Teach the autoencoder's decoder more detail, its latents as they are."""
        return autoencoder.refine(
            self.work / "decoder.pt",
            self.autoencoder(),
            self._encoded(),
            minutes=self.minutes["decoder"],
            seed=self.seed,
        )

    def model(self) -> None:
        """Write the base model."""
        pack.write_model(self.target, self.decoder(), self.text_encoder(), self.denoiser(), self.tokenizer())

    def preview_decoder(self) -> None:
        """Teach the small decoder of the live preview."""
        model = preview_decoder.train(
            self.work / "preview.pt",
            self._encoded(),
            minutes=self.minutes["preview-decoder"],
            seed=self.seed,
        )
        pack.write_part(self.target / pack.PREVIEW, model)

    def controlnet(self) -> None:
        """Teach the ControlNet."""
        model = controlnet.train(
            self.work / "controlnet.pt",
            self._trained(),
            self._pictures(),
            self._examples(),
            self._words(),
            minutes=self.minutes["controlnet"],
            seed=self.seed,
        )
        pack.write_part(self.target / pack.CONTROLNET, model)

    def style(self) -> None:
        """Teach the style LoRA."""
        taught = self._examples(taught="style")
        change = style.train(
            self.work / "style.pt",
            self._trained(),
            taught,
            self._words(),
            minutes=self.minutes["style"],
            seed=self.seed,
        )
        change.save(_ready(self.target / pack.STYLE), {"ss_output_name": "easel-sepia"})

    def few_steps(self) -> None:
        """Distil the few-step LoRA."""
        change = few_steps.train(
            self.work / "few_steps.pt",
            self._trained(),
            self._examples(),
            self._words(),
            minutes=self.minutes["few-steps"],
            seed=self.seed,
        )
        change.save(_ready(self.target / pack.FEW_STEPS), {"ss_output_name": "easel-lcm"})

    def embedding(self) -> None:
        """Teach the embedding."""
        taught = self._examples(taught="colour")
        new = embedding.train(
            self.work / "embedding.pt",
            self._trained(),
            taught,
            self._words(),
            minutes=self.minutes["embedding"],
            seed=self.seed,
        )
        new.save(_ready(self.target / pack.EMBEDDING).parent)

    def classifier(self) -> classifier.Classifier:
        """Teach the judge."""
        drawn = [(self._pictures(*kind), self._scenes(*kind)) for kind in KINDS]
        return classifier.train(self.work / "classifier.pt", drawn, minutes=self.minutes["classifier"])

    def evaluate(self) -> None:
        """Print what the pack reaches, measure by measure."""
        for name, figures in Evaluation(self.target, self.classifier(), self.prompts).table():
            print(json.dumps({name: figures}), flush=True)

    def obedience(self) -> None:
        """Print what the engine makes of the pack, on every backend and in every precision here."""
        asked, judge = obedience.Obedience(self.target, min(self.prompts, OBEDIENCE)), self.classifier()
        drawn = {engine.name: self._drawn_by(engine, asked) for engine in obedience.engines(self.target)}
        exact = drawn["torch fp32"]
        columns = {name: asked.figures(judge, pictures, exact) for name, pictures in drawn.items()}
        print(*obedience.table(columns), sep="\n")

    def _drawn_by(self, engine: InEngine, asked: obedience.Obedience) -> obedience.Drawn:
        """What it draws, kept in the work folder as long as the pack is as it was: many pictures, none made twice."""
        path = self.work / f"obedience {engine.name} {len(asked.scenes)}.npz"
        changed = max(file.stat().st_mtime for file in self.target.rglob("*") if file.is_file())
        if not path.exists() or path.stat().st_mtime < changed:
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, **asked.drawn(engine)._asdict())
            part.rename(path)
        with np.load(path) as kept:
            return obedience.Drawn(**kept)

    def samples(self) -> None:
        """Draw the sample sheets."""
        samples.write(Evaluation(self.target, self.classifier(), 0), self.target)

    def single_file(self) -> None:
        """Write the base model as one file into the work folder."""
        pack.write_single_file(self.target, self.work / "easel-starter.safetensors")

    def _scenes(self, size: tuple[int, int] = NATIVE, taught: str = "") -> list[Scene]:
        """Those of the training set; with what the base model never saw, for the adapter that is taught it."""
        count = self.drawings if size == NATIVE and not taught else self.drawings // 12
        some = list(islice(scenes(self.seed, held_out=False), count))
        match taught:
            case "style":
                return [replace(scene, style=TAUGHT_STYLE) for scene in some]
            case "colour":
                return [replace(scene, colour=TAUGHT_COLOUR) for scene in some]
        return some

    def _pictures(self, size: tuple[int, int] = NATIVE, taught: str = "") -> np.ndarray:
        path = self.work / f"drawings-{_named(size, taught)}.npy"
        return drawings(path, self._scenes(size, taught), size, self.seed)

    def _examples(self, size: tuple[int, int] = NATIVE, taught: str = "") -> Examples:
        model = self.autoencoder()
        path = self.work / f"latents-{_named(size, taught)}.npy"
        encoded = latents(path, model, model.config["scaling_factor"], self._pictures(size, taught))
        return Examples(encoded, self._scenes(size, taught))

    def _encoded(self) -> list[Encoded]:
        """All that a decoder must be able to show, the base model's drawings first."""
        return [(self._pictures(*kind), self._examples(*kind)) for kind in KINDS]

    def _words(self) -> Words:
        return Words(self.tokenizer(), self.text_encoder())

    def _trained(self) -> UNet2DConditionModel:
        """The base model's denoiser as it ships."""
        return UNet2DConditionModel.from_pretrained(self.target / pack.MODEL / "unet", torch_dtype=torch.float32)


STAGES = (
    Recipe.tokenizer,
    Recipe.text_encoder,
    Recipe.autoencoder,
    Recipe.denoiser,
    Recipe.decoder,
    Recipe.model,
    Recipe.preview_decoder,
    Recipe.controlnet,
    Recipe.style,
    Recipe.few_steps,
    Recipe.embedding,
    Recipe.classifier,
    Recipe.evaluate,
    Recipe.obedience,
    Recipe.samples,
    Recipe.single_file,
)


def _named(size: tuple[int, int], taught: str) -> str:
    return "-".join(filter(None, (f"{size[0]}x{size[1]}", taught)))


def _ready(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def main() -> None:
    """Run the named stages, or all of them, in order."""
    stages = {stage.__name__.replace("_", "-"): stage for stage in STAGES}
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("all", "begin", *stages)
    parser.add_argument("stages", nargs="+", choices=names, metavar="STAGE", help=", ".join(names))
    parser.add_argument("--work", type=Path, required=True, help="folder for drawings and checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", type=int, default=300, help="held-out prompts to judge by, in each language")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--target", type=Path, default=STARTER.parent, help="folder of the pack")
    parser.add_argument("--drawings", type=int, default=48_000)
    parser.add_argument("--text-encoder-steps", type=int, default=text_encoder.STEPS)
    for name, minutes in MINUTES.items():
        parser.add_argument(f"--{name}-minutes", type=float, default=minutes)
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(chosen.threads)
    recipe = Recipe(chosen)
    if "begin" in chosen.stages:
        recipe.begin()
    for name, stage in stages.items():
        if name in chosen.stages or "all" in chosen.stages:
            stage(recipe)


if __name__ == "__main__":
    main()
