"""Small .safetensors files of many kinds, and a look through the folders they are in."""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.formats.safetensors import header_text
from engine.library.catalogue import Catalogue
from engine.library.roots import Root, roots
from engine.library.scan import scan
from engine.messages import Entry, Scanned

LORA = {
    f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_{name}.{part}.weight": shape
    for name in ("k", "v")
    for part, shape in (("lora_down", (1, 768)), ("lora_up", (320, 1)))
}
EMBEDDING = {"emb_params": (1, 768)}


def weights(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    fill: int = 0,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a file of half-precision tensors, an embedding if not said otherwise; every byte of them is `fill`."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, shape in (shapes or EMBEDDING).items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": (at, at + size)}
        at += size
    text = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes([fill]) * at)
    return path


def hollow(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A file of half-precision tensors of any size, all zeros, that takes no room on the disk."""
    header = header_text({name: ("F16", shape) for name, shape in shapes.items()}, {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as opened:
        opened.write(header)
        opened.truncate(len(header) + 2 * sum(map(math.prod, shapes.values())))
    return path


def look(catalogue: Catalogue) -> Scanned:
    """A scan of everything that was added, as one event."""
    return joined(scan(catalogue, added(catalogue)))


def added(catalogue: Catalogue) -> list[Root]:
    """The roots that the catalogue was told of, without Easel's own."""
    folders = catalogue.roots()
    return [root for root in roots(folders) if root.of in folders]


def joined(events: Iterator[Scanned]) -> Scanned:
    """What the events told together."""
    told = list(events)
    return Scanned(
        changed=tuple(entry for event in told for entry in event.changed),
        gone=tuple(path for event in told for path in event.gone),
        files=told[-1].files,
        done=told[-1].done,
    )


def names(entries: list[Entry] | tuple[Entry, ...]) -> list[str]:
    """Of the entries, in order."""
    return sorted(entry.name for entry in entries)
