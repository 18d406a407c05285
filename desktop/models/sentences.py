"""What an entry of the library is, and what is being done for it, said in words."""

from collections.abc import Iterable

from desktop.state import Now
from desktop.widgets.amounts import duration, size
from desktop.words import tr
from engine.families import FAMILIES
from engine.messages import Converting, Entry, Preparing

KINDS = {
    "checkpoint": "Model",
    "denoiser": "Denoiser alone",
    "lora": "LoRA",
    "embedding": "Embedding",
    "controlnet": "ControlNet",
    "t2i_adapter": "T2I-Adapter",
    "ip_adapter": "IP-Adapter",
    "vae": "VAE",
    "preview_decoder": "Preview decoder",
    "upscaler": "Upscaler",
    "text_encoder": "Text encoder",
    "image_encoder": "Image encoder",
    "preprocessor": "Preprocessor",
    "hypernetwork": "Hypernetwork",
    "unknown": "Unknown",
}
"""What people call the kinds of files."""
STANDINGS = {
    "here": "Ready",
    "asks": "With questions",
    "broken": "Broken",
    "missing": "Missing",
    "foreign": "Not for Easel",
    "starred": "Starred",
}
"""What people call the states of entries, and what else they look for."""
PRECISIONS = ("int8", "bf16", "fp32")
"""What OpenVINO draws in, smallest first."""


def kind(entry: Entry) -> str:
    """What a file is."""
    return tr(KINDS.get(entry.sort, entry.sort))


def family(name: str) -> str:
    """What a family is called; of one that Easel does not run the name is its label."""
    return FAMILIES[name].label if name in FAMILIES else name


def what(entry: Entry) -> str:
    """Kind and family."""
    return " · ".join(part for part in (kind(entry), family(entry.family)) if part)


def more(entry: Entry) -> str:
    """Size and trigger words; for what cannot be used, why in a word."""
    if entry.state != "here":
        return tr(STANDINGS[entry.state])
    return " · ".join((size(entry.size_bytes), *entry.trigger_words))


def spoken(entry: Entry) -> str:
    """Everything on a card, for those who do not see it."""
    parts = (entry.name, what(entry), more(entry), tr("Starred") if entry.starred else "", tr(entry.trouble))
    return tr(", ").join(part for part in parts if part)


def rests_on(entry: Entry) -> str:
    """Why it is taken for what it is. The long names of tensors may be broken behind each dot."""
    words = tr(entry.rests_on) if entry.rests_on else tr("Nothing in the file says what it is.")
    return words.replace(".", ".\u200b").replace("_", "_\u200b")


def looking(now: Now, shown: int) -> str:
    """How far the look through the folders is; afterwards how many there are."""
    if now.scanning and not now.scanning.done:
        return tr("Looking through the folders: {files} files").format(files=f"{now.scanning.files:,}")
    if not now.is_listed:
        return tr("Opening the library…")
    if shown < len(now.entries):
        return tr("{shown} of {count} shown").format(shown=f"{shown:,}", count=f"{len(now.entries):,}")
    return tr("{count} files").format(count=f"{shown:,}")


def total(entries: Iterable[Entry]) -> str:
    """The room that they take on the disk."""
    return size(sum(entry.size_bytes for entry in entries if entry.state != "missing"))


def doing(event: Preparing | Converting) -> str:
    """What is being done, how far it is and how long it takes; the words for it are known without the name in it."""
    percent = round(event.done * 100)
    before, quoted, rest = event.what.partition("“")
    name, _, after = rest.rpartition("”")
    what = tr(f"{before}“{{name}}”{after}" if quoted else event.what).replace("{name}", name)
    parts = [tr("{what}: {percent} %").format(what=what, percent=percent)]
    if isinstance(event, Converting):
        if event.paused:
            parts.append(tr("paused"))
        elif event.seconds_left:
            parts.append(tr("{time} left").format(time=duration(event.seconds_left)))
    return tr(", ").join(parts)
