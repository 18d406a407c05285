"""Control images that a model makes: depth, segmentation and pose by networks of transformers, in float32 on the CPU.

A network is built of the class that we name, from a folder's config.json and .safetensors; nothing else in it is run.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError

from engine.errors import BadInput
from engine.library.recognise import read_json
from engine.tasks.preprocessors.found import depths, person, things
from engine.tasks.preprocessors.hed import hed

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, for a model that does not say its own."""
_ROOM = 1.25
"""How much wider than a person the picture is that a pose model sees."""
_DAMAGED = (SafetensorError, OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, ImportError)
"""What transformers raises for a folder that does not fit together; it checks little of a configuration itself."""
_LONGEST = 4
"""Times the shorter side: more of a longer one a model is not shown."""


def by_model(kind: str, pixels: np.ndarray, model: Path) -> np.ndarray:
    """The control image of that kind that the model, a folder or for edges a file, makes of uint8 [h, w, 3].

    Raises BadInput for a model that is damaged.
    """
    makers = {"depth": _depth, "segmentation": _segmentation, "pose": _pose, "hed": hed}
    try:
        return makers[kind](pixels, model)
    except _DAMAGED as error:
        raise BadInput(
            f"The model “{model.name}” for the preprocessor “{kind}” cannot be used.",
            "Copy it again, with its config.json and .safetensors file, or use another one.",
            where=str(model),
        ) from error


@torch.no_grad()
def _depth(pixels: np.ndarray, folder: Path) -> np.ndarray:
    network = _network(folder)
    found = network(pixel_values=_seen(pixels, folder)).predicted_depth[0].numpy()
    is_metric = getattr(network.config, "depth_estimation_type", "relative") == "metric"
    return depths(found, (pixels.shape[1], pixels.shape[0]), near_is_large=not is_metric)


@torch.no_grad()
def _segmentation(pixels: np.ndarray, folder: Path) -> np.ndarray:
    scores = _network(folder)(pixel_values=_seen(pixels, folder)).logits[0].numpy()
    return things(scores, (pixels.shape[1], pixels.shape[0]))


def _pose(pixels: np.ndarray, folder: Path) -> np.ndarray:
    return person(*joints(pixels, folder), (pixels.shape[1], pixels.shape[0]))


@torch.no_grad()
def joints(pixels: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Where a pose model sees the joints of one person, who fills the picture: [n, x and y], and how sure it is [n]."""
    network = _network(folder)
    height, width = pixels.shape[:2]
    tall, wide = network.config.backbone_config.image_size
    scale = min(wide / width, tall / height) / _ROOM
    into = np.array([[scale, 0, (wide - scale * width) / 2], [0, scale, (tall - scale * height) / 2]])
    shown = cv2.warpAffine(pixels, into, (wide, tall), flags=cv2.INTER_LINEAR)
    mean, spread = _norms(_settings(folder))
    maps = network(pixel_values=_tensor(shown, mean, spread)).heatmaps[0].numpy()
    flat = maps.reshape(len(maps), -1).argmax(axis=1)
    rows, columns = np.divmod(flat, maps.shape[2])
    seen = np.stack((columns, rows), axis=1) + 0.5
    seen *= np.array([wide / maps.shape[2], tall / maps.shape[1]])
    return (seen - into[:, 2]) / scale, maps.reshape(len(maps), -1).max(axis=1)


def _network(folder: Path) -> Any:
    import transformers

    (name,) = read_json(folder / "config.json")["architectures"]
    network, told = getattr(transformers, name).from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    if told["missing_keys"]:
        raise ValueError(f"{len(told['missing_keys'])} weights are missing")
    return network.eval()


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "preprocessor_config.json"
    return read_json(path) if path.is_file() else {}


def _seen(pixels: np.ndarray, folder: Path) -> torch.Tensor:
    """The picture as the model is to see it, [1, 3, h, w]: of the size and shape that its folder says."""
    settings = _settings(folder)
    size = settings.get("size", 512)
    sides: dict[str, int] = size if isinstance(size, dict) else {"height": size}
    side = min(sides.values())
    multiple = settings.get("ensure_multiple_of", 1) if settings.get("keep_aspect_ratio") else 1
    shown = (side, side)
    if settings.get("keep_aspect_ratio") or "shortest_edge" in sides:
        height, width = pixels.shape[:2]
        ratio = min(max(width, height) / min(width, height), _LONGEST)
        long = max(1, round(side * ratio / multiple)) * multiple
        shown = (long, side) if width > height else (side, long)
    mean, spread = _norms(settings)
    return _tensor(np.asarray(Image.fromarray(pixels).resize(shown, Image.Resampling.BICUBIC)), mean, spread)


def _norms(settings: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.asarray(settings.get("image_mean", _MEAN), np.float32),
        np.asarray(settings.get("image_std", _SPREAD), np.float32),
    )


def _tensor(pixels: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> torch.Tensor:
    values = (pixels.astype(np.float32) / 255 - mean) / spread
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32))
