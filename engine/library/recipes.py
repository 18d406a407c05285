"""What a new checkpoint is mixed of: checked, and written down so that it could be made again."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from engine.errors import BadInput
from engine.families import FAMILIES
from engine.library.converted_pickles import as_safetensors
from engine.library.file_parts import Part, part_at, part_of
from engine.library.recognise import is_heavy, parts_of, read_json
from engine.messages import ChosenLora, ModelCard
from engine.patience import Report

Precision = Literal["fp16", "bf16", "fp32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MOST = 3
_MAX_WEIGHT = 2.0
Prediction = Literal["epsilon", "v_prediction"]
_WORDS: dict[Prediction, str] = {"epsilon": "the noise", "v_prediction": "velocity"}


class Recipe(Struct, frozen=True, kw_only=True):
    """One to three models of a family, and what is put into them."""

    models: tuple[ModelCard, ...]
    """Whole ones."""
    weights: tuple[float, ...] = ()
    """Of the second model and the third in a sum, where the first has what is left to 1; or of the one difference."""
    difference: bool = False
    """Whether it is A + w (B - C), and not a sum."""
    loras: tuple[ChosenLora, ...] = ()
    vae: str = ""
    """A file, or a folder in diffusers' form; empty for that of the models, which are mixed like everything else."""
    precision: Precision = "fp16"


def check(recipe: Recipe) -> None:
    """Raise BadInput for a recipe that makes no sense, whatever is in the models' files."""
    first, *others = recipe.models
    family = FAMILIES[first.family]
    if not family.modelspec[0]:
        known = ", ".join(each.label for each in FAMILIES.values() if each.modelspec[0])
        raise BadInput(f"Easel writes no checkpoints of {family.label}.", f"It does so of: {known}.", first.name)
    for other in others:
        if other.family != first.family:
            raise BadInput(
                f"“{first.name}” is {family.label}, and “{other.name}” is {FAMILIES[other.family].label}.",
                "Mix models of one family.",
                other.name,
            )
        if predicted(other) != predicted(first):
            raise BadInput(
                f"“{first.name}” predicts {_WORDS[predicted(first)]}, and “{other.name}” {_WORDS[predicted(other)]}.",
                "Mix models that predict the same.",
                other.name,
            )
    _check_weights(recipe, len(recipe.models))


def _check_weights(recipe: Recipe, models: int) -> None:
    needed = 1 if recipe.difference else models - 1
    if recipe.difference and models != MOST:
        raise BadInput("A difference takes three models.", "Name A, B and C for A + weight × (B - C).", "weight")
    if len(recipe.weights) != needed:
        advice = "Use --weight B,C as in 0.3,0.2, or --difference." if needed == 2 else "Use one for two models."
        raise BadInput(f"{models} models and {len(recipe.weights)} weights do not go together.", advice, "weight")
    if not all(math.isfinite(each) and abs(each) <= _MAX_WEIGHT for each in recipe.weights):
        raise BadInput(f"A weight cannot be {max(recipe.weights, key=abs)}.", "Use a number from 0 to 1.", "weight")


def parts(card: ModelCard) -> dict[str, Part]:
    """The heavy parts of a model. Raises BadInput."""
    folder = Path(card.path)
    return {part: part_at(folder / part) for part in parts_of(folder, FAMILIES[card.family]) if is_heavy(part)}


def autoencoder(recipe: Recipe, report: Report) -> Part:
    """The one that is put in. Raises BadInput for what is none, or none of the family, and what `report` raises."""
    path = Path(recipe.vae)
    if path.is_dir():
        return part_at(path)
    return part_of(as_safetensors(path, report), FAMILIES[recipe.models[0].family], "vae")


def predicted(card: ModelCard) -> Prediction:
    """What a model predicts, as its schedule of noise says."""
    return "v_prediction" if _schedule(card).get("prediction_type") == "v_prediction" else "epsilon"


def flags(card: ModelCard) -> tuple[str, ...]:
    """The empty tensors by which checkpoints say how they are to be sampled, as NoobAI's began to."""
    schedule = _schedule(card)
    says = {"v_pred": predicted(card) == "v_prediction", "ztsnr": bool(schedule.get("rescale_betas_zero_snr"))}
    return tuple(name for name, is_so in says.items() if is_so)


def metadata(recipe: Recipe, title: str, hashes: Mapping[str, str]) -> dict[str, str]:
    """What the file says of itself: by ModelSpec, and the whole recipe; the same recipe makes the same file.

    `hashes` are the sha256 that are known, by the paths in the recipe.
    """
    first = recipe.models[0]
    is_v = predicted(first) == "v_prediction"
    made_of = [each.name for each in recipe.models] + [Path(each.path).stem for each in recipe.loras]
    return {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": FAMILIES[first.family].modelspec[is_v],
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": title,
        "modelspec.resolution": f"{first.native_size}x{first.native_size}",
        "modelspec.prediction_type": "v" if is_v else "epsilon",
        "modelspec.merged_from": ", ".join([*made_of, *([Path(recipe.vae).stem] if recipe.vae else [])]),
        "easel.recipe": msgspec.json.encode(_told(recipe, hashes)).decode(),
    }


def _told(recipe: Recipe, hashes: Mapping[str, str]) -> dict[str, Any]:
    def file(name: str, path: str) -> dict[str, Any]:
        return {"name": name} | ({"sha256": hashes[path]} if hashes.get(path) else {})

    loras = [
        file(Path(each.path).stem, each.path)
        | {"weight": each.weight, "text_encoder_weight": each.text_encoder_weight, "blocks": each.blocks}
        for each in recipe.loras
    ]
    return {
        "models": [file(each.name, each.path) for each in recipe.models],
        "method": "difference" if recipe.difference else "sum",
        "weights": recipe.weights,
        "loras": loras,
        "vae": file(Path(recipe.vae).stem, recipe.vae) if recipe.vae else None,
        "precision": recipe.precision,
    }


def _schedule(card: ModelCard) -> dict[str, Any]:
    return read_json(Path(card.path) / "scheduler" / "scheduler_config.json")
