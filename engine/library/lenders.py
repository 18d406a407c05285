"""Who can lend a part to a model file that lacks it: installed models, and parts that lie in files of their own."""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from engine import paths
from engine.errors import EaselError
from engine.formats.suffixes import WEIGHTS
from engine.library import shelves
from engine.library.installed import installed
from engine.library.judged import judged
from engine.library.opened_weights import stamp
from engine.library.recognise import read_json
from engine.library.roots import FOLDERS, Root
from engine.library.t5_words import FILES, words_in, words_within
from engine.library.walk import Walk

Lent = Literal["text_encoder", "vae"]
_PROGRAMS = (
    "comfy/text_encoders/t5_tokenizer", "comfy/t5_tokenizer", "backend/huggingface/*/*/tokenizer_2",
    "backend/huggingface/*/*/tokenizer_3",
)  # fmt: skip
"""Where other programs keep T5's tokenizer: ComfyUI, now and before, and Forge."""
_PACKAGES = "Packages/*/"
"""Where Stability Matrix has those programs."""
_MOST_ABOVE = 4
"""Folders between a program's own and one of its folders of models, and one more."""


class Lender(NamedTuple):
    """A file that holds nothing but a text encoder or a VAE, as far as anybody knows."""

    path: Path
    family: str = ""
    """What a VAE is known to be for; empty where nobody said."""


def lenders(kind: Lent) -> list[Lender]:
    """Every file that may be of the kind, by name: those that the library knows, and what lies in Easel's folders."""
    known = shelves.known()
    found = {
        path: Lender(path, each.family)
        for path, each in known.items()
        if path.suffix.lower() in WEIGHTS and _may_lend(kind, each.sort, each.state == "foreign") and _is_here(each)
    }
    for path in _own_files():
        if path not in known:
            try:
                guess = judged(path)
            except EaselError:  # a damaged file lends nothing
                continue
            if _may_lend(kind, guess.kind, bool(guess.refusal)):
                found[path] = Lender(path, guess.family)
    return sorted(found.values(), key=lambda each: (each.path.name.casefold(), each.path))


def models() -> list[Path]:
    """Model folders in the form of diffusers: Easel's own first, then those that the library knows elsewhere.

    The starter is not among them: it is built like Stable Diffusion 1.x, and far smaller.
    """
    others = [
        path
        for path, each in shelves.known().items()
        if each.sort == "checkpoint" and each.state == "here" and path != paths.STARTER
    ]
    return [each for each in dict.fromkeys((*installed(), *others)) if (each / "model_index.json").is_file()]


def t5_words(encoder: Path, vocabulary: int) -> Path | None:
    """A folder with T5's tokenizer, for the text encoder in that file; None where there is none at hand.

    It is looked for in the file itself, beside it, in Easel's folder of text encoders, in installed models, and in the
    programs whose folders are used.
    """
    within = words_within(encoder)
    return words_in((*([within] if within else []), encoder.parent, *_places_of_words()), vocabulary)


def checksum() -> str:
    """Changes whenever something comes, goes or changes that could lend a part."""
    sorts = {*get_args(Lent), "unknown"}
    files = {path: each.family for path, each in shelves.known().items() if each.sort in sorts}
    there = [*files, *_own_files(), *(folder / "model_index.json" for folder in models())]
    places = {*_places_of_words(), *(path.parent for path in files)}
    words = [folder / name for folder in places for name in FILES]
    told = sorted(f"{path} {stamp(path)} {files.get(path, '')}" for path in (*there, *words))
    return f"{zlib.crc32(ascii(told).encode()):08x}"


def _may_lend(kind: Lent, sort: str, is_foreign: bool) -> bool:
    """Of text encoders some are in families that Easel does not run, and in those that it runs: shapes tell."""
    return sort in (kind, "unknown") and (not is_foreign or sort == "text_encoder")


def _is_here(known: shelves.Known) -> bool:
    return known.state in ("here", "foreign")


def _own_files() -> Iterator[Path]:
    """What lies in Easel's own folders and may be a part in a file of its own, or a model."""
    folders = [paths.models(), *(paths.adapters(FOLDERS[kind])[0] for kind in ("text_encoder", "vae"))]
    for folder in Walk([Root(each, "unknown", str(each)) for each in folders]):
        for thing in folder.things:
            if thing.form == "file" and not thing.is_unfinished and thing.path.lower().endswith(WEIGHTS):
                yield Path(thing.path)


def _places_of_words() -> Iterator[Path]:
    yield paths.adapters(FOLDERS["text_encoder"])[0]
    for folder in models():
        yield from _words_of_model(folder)
    for folder in dict.fromkeys(up for root in shelves.added() for up in (root, *root.parents[:_MOST_ABOVE])):
        for pattern in _PROGRAMS:
            with contextlib.suppress(OSError):  # a drive that went, or a folder that may not be looked into
                yield from sorted((*folder.glob(pattern), *folder.glob(_PACKAGES + pattern)))


def _words_of_model(folder: Path) -> Iterator[Path]:
    try:
        named = read_json(folder / "model_index.json")
    except EaselError:
        return
    for part in ("tokenizer_2", "tokenizer_3"):  # in other families, the first is a second one of CLIP's
        if "T5Tokenizer" in str(named.get(part)):
            yield folder / part
