"""Measures the library on 10,000 files that are headers alone: `python -m tests.bench.library`."""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.bench import ROOT, environment

DISTINCT = 1000
"""Files that are written; the rest are hard links to them, which are read like any other."""
SHARES = {
    "lora SD1": 35, "lora SDXL": 30, "checkpoint SD1": 8, "denoiser SDXL": 7, "embedding": 12, "vae": 3, "controlnet": 5
}  # fmt: skip
"""Of a hundred files."""


def main() -> None:
    """Print one JSON object a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--scan", metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        print(json.dumps({"MB of headers": round(write(Path(chosen.write), chosen.files) / 1e6)}))
    elif chosen.scan:
        print(json.dumps(_scan(Path(chosen.scan))))
    else:
        _all(chosen.files)


def _all(count: int) -> None:
    """Each in a process of its own, this one staying small: a process's peak of memory is never below its parent's."""
    with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder:
        files, home = Path(folder) / "models", Path(folder) / "home"
        runs = [("write", "written"), ("scan", "cold"), ("scan", "warm"), ("scan", "warm again")]
        for what, temperature in runs:
            for figure, value in _in_process(home, f"--{what}", str(files), "--files", str(count)).items():
                _tell(f"{count} files, {temperature}: {figure}", value)


def _in_process(home: Path, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.library", *arguments]
    done = subprocess.run(command, env=environment(home), cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _scan(folder: Path) -> dict[str, float]:
    """What a process of its own needs to list, scan and watch."""
    from engine.child import peak_memory_bytes
    from engine.library.catalogue import Catalogue
    from engine.library.roots import roots
    from engine.library.scan import changed, scan

    imported = peak_memory_bytes()
    figures: dict[str, float] = {}

    def timed(what: str, do: Callable[[], Any]) -> Any:
        begun, worked = time.perf_counter(), time.process_time()
        result = do()
        figures[what] = round(time.perf_counter() - begun, 4)
        figures[f"{what}, at work"] = round(time.process_time() - worked, 4)
        return result

    catalogue = timed("seconds to open the catalogue", Catalogue)
    figures["entries remembered"] = len(timed("seconds to read the entries", catalogue.entries))
    catalogue.add_root(folder)
    before = peak_memory_bytes()
    told = timed("seconds of the scan", lambda: sum(1 for _ in scan(catalogue, roots(catalogue.roots()))))
    figures["events of the scan"] = told
    figures["MB of the process at its peak"] = round(peak_memory_bytes() / 1e6)
    figures["MB that the scan added"] = round((peak_memory_bytes() - before) / 1e6)
    figures["MB of the process before"] = round(imported / 1e6)
    timed("seconds to look whether a folder changed", lambda: changed(catalogue, roots(catalogue.roots())))
    figures["entries unknown or broken"] = sum(
        entry.sort == "unknown" or entry.state == "broken" for entry in catalogue.entries()
    )
    return figures


def write(folder: Path, count: int) -> int:
    """Files of many kinds in many folders, as long as they say, but sparse. Returns the bytes of their headers."""
    made = {kind: _header(shapes, kind) for kind, shapes in _shapes()}
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    chance, written, total = random.Random(1), [], 0
    for number in range(count):
        kind = kinds[number % len(kinds)]
        home = folder / kind / f"{chance.randrange(12):02} 夹 🎨"
        home.mkdir(parents=True, exist_ok=True)
        path = home / f"{kind} {number:05}.safetensors"
        head, size = made[kind]
        if number < DISTINCT:
            with path.open("wb") as file:
                file.write(head)
                file.truncate(len(head) + size)
            written.append(path)
        else:
            os.link(written[number % DISTINCT], path)
        total += len(head)
    return total


def _header(shapes: Mapping[str, tuple[int, ...]], kind: str) -> tuple[bytes, int]:
    """The header of half-precision tensors, and how many bytes come behind it."""
    entries: dict[str, Any] = {}
    if kind.startswith("lora"):
        tags = {f"{number} a word of a caption": number for number in range(1500)}
        entries["__metadata__"] = {"ss_network_module": "networks.lora", "ss_tag_frequency": json.dumps({"all": tags})}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text, at


def _shapes() -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
    """Of the true networks, which are made without memory."""
    import torch
    from diffusers.models import AutoencoderKL, ControlNetModel, UNet2DConditionModel

    from engine.formats.sd_keys import to_single_file

    crosses = ("CrossAttnDownBlock2D",) * 3
    with torch.device("meta"):
        sd1 = UNet2DConditionModel(cross_attention_dim=768)
        sdxl = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", *crosses[:2]),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10],
            attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        net = ControlNetModel(cross_attention_dim=768)
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    parts, configs = {"unet": sd1.state_dict(), "vae": vae.state_dict()}, {"unet": sd1.config, "vae": vae.config}
    yield "checkpoint SD1", {name: tuple(each.shape) for name, each in to_single_file(parts, configs).items()}
    for name, network in (("denoiser SDXL", sdxl), ("controlnet", net), ("vae", vae)):
        yield name, {key: tuple(each.shape) for key, each in network.state_dict().items()}
    yield "lora SD1", _lora(sd1)
    yield "lora SDXL", _lora(sdxl)
    yield "embedding", {"emb_params": (8, 768)}


def _lora(unet: Any) -> dict[str, tuple[int, ...]]:
    """As kohya's trainer names its layers."""
    import torch

    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in unet.named_modules():
        if isinstance(layer, torch.nn.Linear) and "transformer_blocks" in name:
            key = f"lora_unet_{name.replace('.', '_')}"
            shapes[f"{key}.alpha"] = ()
            shapes[f"{key}.lora_down.weight"] = (16, layer.in_features)
            shapes[f"{key}.lora_up.weight"] = (layer.out_features, 16)
    return shapes


def _tell(figure: str, value: Any) -> None:
    print(json.dumps({"figure": figure, "value": value}), flush=True)


if __name__ == "__main__":
    main()
