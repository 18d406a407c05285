"""“easel models merge”: models, LoRAs and a VAE into a new checkpoint."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from engine.cli.terminal import print_json, status
from engine.cli.values import lora
from engine.errors import DONE, BadInput, EaselError
from engine.families import FAMILIES
from engine.library import adapters, index
from engine.library.autoencoders import autoencoder_for
from engine.library.catalogue import Catalogue
from engine.library.opened_weights import files_of, stored
from engine.library.recipes import MOST, PRECISIONS, Recipe, check
from engine.library.single_file import SUFFIX
from engine.messages import Failed, ModelCard, Preparing
from engine.settings import GenerateSettings

_USUAL = "0.5"
_INSTANT = 0.01
"""Seconds that two readings of when a file was changed may be apart."""


def add(verb: argparse.ArgumentParser) -> None:
    """The flags that no other action has."""
    verb.add_argument(
        "--weight", metavar="FLOAT", help=f"with “merge”: the second model's share; {_USUAL} if not given"
    )
    verb.add_argument("--difference", action="store_true", help="with “merge”: A + weight × (B - C) of three models")
    verb.add_argument(
        "--lora", action="append", default=[], metavar="NAME[:WEIGHT]", help="with “merge”: put in; may be repeated"
    )
    verb.add_argument("--vae", metavar="FILE", help="with “merge”: the VAE to put in, by its file, folder or name")
    verb.add_argument("--out", type=Path, metavar="FILE", help="with “merge”: the new .safetensors file")


def run(chosen: argparse.Namespace) -> int:
    """Write the file. Raises EaselError."""
    try:
        return _merge(chosen)
    except EaselError as error:
        if chosen.json:
            fault = "request" if isinstance(error, BadInput) else "engine"
            print_json(Failed(cause=error.cause, advice=error.advice, where=error.where, fault=fault))
        raise


def _merge(chosen: argparse.Namespace) -> int:
    target = _target(chosen.out)
    recipe = _recipe(chosen)
    check(recipe)
    from engine.tasks.merging import merge

    def report(what: str, done: float) -> None:
        print_json(Preparing(what=what, done=done)) if chosen.json else status(f"{what}: {done:.0%}")

    made = merge(recipe, target, report, _hashes(recipe))
    status("")
    if chosen.json:
        print_json({"merged": str(made.path), "bytes": made.size_bytes, "notes": made.notes})
    else:
        print("\n".join((*made.notes, str(made.path))))
    return DONE


def _target(out: Path | None) -> Path:
    if out is None:
        raise BadInput("It is not said where the new model goes.", f"Use --out FILE{SUFFIX}.", "out")
    target = out.expanduser().absolute()
    if target.suffix.lower() != SUFFIX:
        raise BadInput(f"“{out.name}” is no {SUFFIX} file.", f"Name a file that ends with {SUFFIX}.", "out")
    if target.exists():
        raise BadInput(f"“{out}” is there already.", "Easel never overwrites; use another name.", "out")
    return target


def _recipe(chosen: argparse.Namespace) -> Recipe:
    if len(chosen.names) > MOST:
        raise BadInput(f"{len(chosen.names)} models are too many.", f"Mix two or {MOST} at a time.", "model")
    if chosen.precision not in ("auto", *PRECISIONS):
        raise BadInput(f"No checkpoint is in {chosen.precision}.", f"Use {', '.join(PRECISIONS)}.", "precision")
    cards = tuple(index.find(name) for name in chosen.names)
    uses = GenerateSettings(prompt="", loras=tuple(map(lora, chosen.lora)))
    return Recipe(
        models=cards,
        weights=_weights(chosen.weight, len(cards)),
        difference=chosen.difference,
        loras=adapters.needed(uses, cards[0]).loras,
        vae=_vae(chosen.vae, cards[0]),
        precision=PRECISIONS[0] if chosen.precision == "auto" else chosen.precision,
    )


def _weights(typed: str | None, models: int) -> tuple[float, ...]:
    """Of two numbers with a comma between them, for the second model and the third, too."""
    if typed is None:
        return (float(_USUAL),) if models > 1 else ()
    try:
        return tuple(map(float, typed.split(",")))
    except ValueError:
        raise BadInput(f"The weight “{typed[:40]}” is no number.", "Use a number from 0 to 1.", "weight") from None


def _vae(typed: str | None, card: ModelCard) -> str:
    path = Path(typed or "").expanduser()
    return str(path.resolve()) if path.is_file() else autoencoder_for(typed or "", card)


def _hashes(recipe: Recipe) -> dict[str, str]:
    """What the library has counted of the files by now; a file that has changed since has none."""
    files = {each.path: each.path for each in recipe.loras} | {recipe.vae: recipe.vae}
    for card in recipe.models:
        opened = stored(Path(card.path) / FAMILIES[card.family].denoiser)
        files[card.path] = str(files_of(opened)[0]) if opened else card.path
    catalogue = Catalogue()
    try:
        known = dict(_current(catalogue, files.values()))
    finally:
        catalogue.close()
    return {name: known[path] for name, path in files.items() if path in known}


def _current(catalogue: Catalogue, paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    for entry in catalogue.entries_at(list(paths)):
        path = Path(entry.path)
        if not entry.sha256 or not path.is_file():
            continue
        now = path.stat()
        if now.st_size == entry.size_bytes and abs(now.st_mtime - entry.changed) < _INSTANT:
            yield entry.path, entry.sha256
