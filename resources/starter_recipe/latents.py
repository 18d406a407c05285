"""The drawings as latents, encoded once, by OpenVINO for its speed."""

import json
from pathlib import Path

import numpy as np
import openvino
import torch
from diffusers import AutoencoderKL

BATCH = 16


def scaling_factor(path: Path, model: AutoencoderKL, pictures: np.ndarray) -> float:
    """What gives the latents of some drawings unit variance (Stable Diffusion's scaling factor); kept in `path`."""
    if not path.exists():
        some = _encoded(model, pictures[:: max(1, len(pictures) // 512)])
        path.write_text(json.dumps(1 / float(some.std())), "utf-8")
    return json.loads(path.read_text("utf-8"))


def latents(path: Path, model: AutoencoderKL, factor: float, pictures: np.ndarray) -> np.ndarray:
    """float16 [n, 4, h/8, w/8] of unit variance for pictures uint8 [n, h, w, 3]; kept in `path`."""
    if not path.exists():
        part = path.with_suffix(".part.npy")
        np.save(part, (_encoded(model, pictures) * factor).astype(np.float16))
        part.rename(path)
    return np.load(path)


def _encoded(model: AutoencoderKL, pictures: np.ndarray) -> np.ndarray:
    height, width = pictures.shape[1:3]
    graph = openvino.convert_model(_Encoder(model).eval(), example_input=torch.zeros(1, 3, height, width))
    compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "LATENCY"})
    rows: list[np.ndarray] = []
    for first in range(0, len(pictures), BATCH):
        pixels = np.array(pictures[first : first + BATCH]).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        rows.append(compiled(pixels)[0])
    return np.concatenate(rows)


class _Encoder(torch.nn.Module):
    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """The mean of the posterior, [b, 4, h/8, w/8]."""
        return self.model.quant_conv(self.model.encoder(pixels)).chunk(2, dim=1)[0]
