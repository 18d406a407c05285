"""What lies beside a model file for it, and what its metadata say: cards, pictures, notes.

Forms: Civitai's model version (`<stem>.civitai.info`), A1111's card (`<stem>.json`), Stability Matrix's
(`<stem>.cm-info.json`), https://github.com/Stability-AI/ModelSpec ("modelspec.…"), kohya-ss's "ss_…"
(https://github.com/kohya-ss/sd-scripts, `train_network.py`). All of it was written by somebody else: it is read with
limits, kept as plain text, and what is damaged is passed over.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from engine.families import flux, sd1, sd2, sd3, sdxl, sdxl_refiner
from engine.few_steps import kind_of

_MAX_JSON = 16 * 2**20
_MAX_TEXT = 64 * 2**10
_MAX_LINE = 300
_MAX_WORDS = 40
_PICTURES = (".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".png", ".jpg", ".jpeg", ".webp")
_CONFIGS = (".yaml", ".yml")
VAES = (".vae.safetensors", ".vae.pt", ".vae.ckpt")
"""What the name of an autoencoder that goes with a model has behind the model's own."""
_BLOCKS = {"p", "br", "div", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "hr", "blockquote", "pre"}


class Sidecar(NamedTuple):
    """What is said of a model file; empty for what nobody says."""

    title: str = ""
    trigger_words: tuple[str, ...] = ()
    base_model: str = ""
    """As the card or the metadata have it: "SDXL Lightning", "stable-diffusion-v1/lora"."""
    family: str = ""
    """The family that `base_model` means: a name of `engine.families.FAMILIES`, or the label of a foreign one."""
    line: str = ""
    """Of models with XL's base: "Pony", "Illustrious", "NoobAI" or "Stable Diffusion XL", where that is said."""
    few_steps: str = ""
    """A kind of `engine.few_steps.KINDS`."""
    prediction: str = ""
    """"epsilon" or "v-prediction"."""
    description: str = ""
    notes: str = ""
    negative_words: str = ""
    preferred_weight: float | None = None
    resolution: str = ""
    """As the metadata have it: "1024x1024"."""
    preview: Path | None = None
    config: Path | None = None
    """The model's configuration as the original code reads it."""
    vae: Path | None = None

    def or_else(self, other: "Sidecar") -> "Sidecar":
        """This, with what only the other says."""
        return self._replace(**{name: theirs for name, theirs in other._asdict().items() if not getattr(self, name)})


def read(path: Path, beside: Collection[str] | None = None) -> Sidecar:
    """What lies beside the file at `path` for it; nothing of it raises.

    `beside` are the names of the files in its folder, for who has listed them already.
    """

    def there(ending: str) -> Path | None:
        name = path.stem + ending
        other = path.with_name(name)
        try:
            is_there = name in beside if beside is not None else other.is_file()
        except (OSError, ValueError):
            return None
        return other if is_there and other != path else None

    def first(endings: tuple[str, ...]) -> Path | None:
        return next((found for ending in endings if (found := there(ending))), None)

    said = Sidecar(preview=first(_PICTURES), config=first(_CONFIGS), vae=first(VAES))
    for ending, form in _CARDS.items():
        card = there(ending)
        if card and (found := _json(card)):
            said = said.or_else(form(found))
    if said.config:
        said = said.or_else(Sidecar(prediction=_prediction_in(_text(said.config))))
    if notes := there(".txt"):
        said = said.or_else(Sidecar(notes=_text(notes).strip()))
    return said


def from_metadata(metadata: Mapping[str, str]) -> Sidecar:
    """What the metadata of a file say, by modelspec and kohya's trainer."""
    modelspec = {
        name.removeprefix("modelspec."): value for name, value in metadata.items() if name.startswith("modelspec.")
    }
    base = modelspec.get("architecture") or metadata.get("ss_base_model_version", "")
    title = modelspec.get("title") or metadata.get("ss_output_name", "")
    trained_on = metadata.get("ss_sd_model_name", "")
    said = _said_of(base)
    if said.family == sdxl.FAMILY.name:
        said = said._replace(line=_line(trained_on) or said.line)
    if not said.family and metadata.get("ss_v2") == "True":
        said = said._replace(family=sd2.FAMILY.name)
    predicts = modelspec.get("prediction_type", "") or ("v" if metadata.get("ss_v_parameterization") == "True" else "")
    words = _words(modelspec.get("trigger_phrase", "").split(",")) or _trained_words(
        metadata.get("ss_tag_frequency", "")
    )
    return said._replace(
        title=_line_of(title),
        trigger_words=words,
        few_steps=said.few_steps or kind_of(title),
        prediction=_prediction(predicts) or said.prediction,
        description=plain(modelspec.get("description", "")),
        notes=plain(metadata.get("ss_training_comment", "")) if metadata.get("ss_training_comment") != "None" else "",
        resolution=_line_of(modelspec.get("resolution", "")),
    )


def plain(text: str) -> str:
    """HTML or Markdown as plain text: no tags, no scripts; of at most 64 thousand letters."""
    text = text[:_MAX_TEXT]
    if "<" in text or "&" in text:
        reader = _Plain()
        reader.feed(text)
        reader.close()
        text = "".join(reader.found)
    lines = ("".join(_shown(each) for each in line).strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _shown(character: str) -> str:
    return character if character.isprintable() else " " if character.isspace() else ""


class _Plain(HTMLParser):
    """Keeps text, and a line's end where a block begins or ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag in _BLOCKS:
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style") and self._hidden > 0
        if tag in _BLOCKS - {"br"}:
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data)


# ------------------------------------------------------------------------------------------------ cards


def _civitai(card: Mapping[str, Any]) -> Sidecar:
    model = card.get("model")
    names = [model.get("name") if isinstance(model, dict) else None, card.get("name")]
    title = " ".join(_line_of(each) for each in names if isinstance(each, str))
    return _said_of(_str(card, "baseModel"))._replace(
        title=title.strip(),
        trigger_words=_words(card.get("trainedWords")),
        description=plain(_str(card, "description")),
    )


def _matrix(card: Mapping[str, Any]) -> Sidecar:
    return _said_of(_str(card, "BaseModel"))._replace(
        title=f"{_line_of(_str(card, 'ModelName'))} {_line_of(_str(card, 'VersionName'))}".strip(),
        trigger_words=_words(card.get("TrainedWords")),
        description=plain(_str(card, "ModelDescription")),
    )


def _a1111(card: Mapping[str, Any]) -> Sidecar:
    if isinstance(card.get("trainedWords"), list) or isinstance(card.get("baseModel"), str):
        return _civitai(card)
    weight = card.get("preferred weight")
    return _said_of(_str(card, "sd version"))._replace(
        trigger_words=_words([_str(card, "activation text")]),
        description=plain(_str(card, "description")),
        notes=plain(_str(card, "notes")),
        negative_words=_line_of(_str(card, "negative text")),
        preferred_weight=float(weight) if isinstance(weight, int | float) and 0 < abs(weight) <= 10 else None,
    )


_CARDS: dict[str, Callable[[Mapping[str, Any]], Sidecar]] = {
    ".civitai.info": _civitai,
    ".cm-info.json": _matrix,
    ".json": _a1111,
}


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # a damaged card is no card
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TEXT).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""
    return plain(text) if path.suffix == ".txt" else text


def _str(card: Mapping[str, Any], name: str) -> str:
    value = card.get(name)
    return value if isinstance(value, str) else ""


def _line_of(text: str) -> str:
    return " ".join(plain(text[: 4 * _MAX_LINE]).split())[:_MAX_LINE]


def _words(found: Any) -> tuple[str, ...]:
    """Trigger words; a card's entry may have several in a row, which belong together."""
    if not isinstance(found, list):
        return ()
    lines = (_line_of(each).strip(" ,") for each in found[:_MAX_WORDS] if isinstance(each, str))
    return tuple(dict.fromkeys(each for each in lines if each))


def _trained_words(frequencies: str) -> tuple[str, ...]:
    """The words at nearly every picture that a LoRA was trained with, from JSON: {folder: {word: times}}."""
    try:
        folders = json.loads(frequencies) if 0 < len(frequencies) <= _MAX_JSON else {}
    except (ValueError, RecursionError):
        return ()
    times: Counter[str] = Counter()
    for words in folders.values() if isinstance(folders, dict) else ():
        if isinstance(words, dict):
            times.update({word: count for word, count in words.items() if isinstance(count, int)})
    most = times.most_common(5)
    return _words([word for word, count in most if count >= 0.8 * most[0][1]])


# ------------------------------------------------------------------------------------------------ base models

_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"flux ?2", "FLUX.2"),
    (r"\bflux", flux.FAMILY.name),
    (r"pony ?(?:diffusion)? ?v? ?7|aura ?flow", "AuraFlow"),
    (r"pony|illustrious|noob ?ai", sdxl.FAMILY.name),
    (r"(?:sd ?xl|stable diffusion xl).*refiner", sdxl_refiner.FAMILY.name),
    (r"playground ?v? ?2 5", "Playground 2.5"),
    (r"sd ?xl|stable diffusion xl|playground ?v? ?2", sdxl.FAMILY.name),
    (r"(?:sd|stable diffusion) ?v? ?3", sd3.FAMILY.name),
    (r"(?:sd|stable diffusion) ?v? ?2", sd2.FAMILY.name),
    (r"(?:sd|stable diffusion) ?v? ?1", sd1.FAMILY.name),
    (r"\bsvd\b|stable video", "Stable Video Diffusion"),
    (r"cascade", "Stable Cascade"),
    (r"chroma", "Chroma"),
    (r"kolors", "Kolors"),
    (r"hi ?dream", "HiDream"),
    (r"hunyuan ?video", "Hunyuan Video"),
    (r"hunyuan ?image", "Hunyuan Image"),
    (r"hunyuan", "HunyuanDiT"),
    (r"pix ?art", "PixArt"),
    (r"lumina", "Lumina 2"),
    (r"z ?image", "Z-Image"),
    (r"qwen", "Qwen-Image"),
    (r"ltx", "LTX-Video"),
    (r"mochi", "Mochi"),
    (r"cog ?video", "CogVideoX"),
    (r"\bwan\b", "Wan"),
    (r"anima\b", "Anima"),
)
"""What people call a model's base, with spaces for all other signs; the most special first."""
_LINES = {"pony": "Pony", "illustrious": "Illustrious", "noob": "NoobAI"}


def _said_of(base: str) -> Sidecar:
    """What the name of a base model tells."""
    base = _line_of(base)
    name = re.sub(r"[^a-z0-9]+", " ", base.casefold()).strip()
    family = next((family for pattern, family in _FAMILIES if re.search(pattern, name)), "") if name else ""
    line = (_line(name) or "Stable Diffusion XL") if family == sdxl.FAMILY.name else ""
    is_v = family == sd2.FAMILY.name and re.search(r"768 v\b|\b768$", name)
    return Sidecar(
        base_model=base,
        family=family,
        line=line,
        few_steps=kind_of(base),
        prediction="v-prediction" if is_v else "epsilon" if "v2 512" in name else "",
    )


def _line(name: str) -> str:
    return next((line for word, line in _LINES.items() if word in name.casefold()), "")


def _prediction(text: str) -> str:
    words = {"v": "v-prediction", "v_prediction": "v-prediction", "v-prediction": "v-prediction"}
    return words.get(text.casefold(), "epsilon" if text.casefold() in ("epsilon", "eps") else "")


def _prediction_in(config: str) -> str:
    """What a configuration of the original code says; epsilon is its default."""
    if found := re.search(r"""parameterization:\s*["']?(\w+)""", config):
        return _prediction(found[1])
    return "epsilon" if "linear_start" in config else ""
