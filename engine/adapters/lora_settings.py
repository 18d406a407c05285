"""The scaling that PEFT and diffusers write beside the tensors instead of among them.

PEFT has it in `adapter_config.json` next to `adapter_model.safetensors`; diffusers since 0.34 as JSON in the file's
own metadata, every field with its part before it. Source: https://github.com/huggingface/peft, `LoraConfig` and
`get_pattern_key`; https://github.com/huggingface/diffusers, `loaders/lora_base.py`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import BadInput

_METADATA = "lora_adapter_metadata"
_PEFT_FILE, _PEFT_SETTINGS = "adapter_model.safetensors", "adapter_config.json"
_MAX_SETTINGS = 2**20
_MAX_NUMBER = 1e6


class Scaling:
    """alpha / rank of modules whose tensors come without an alpha."""

    def __init__(self, path: Path, metadata: Mapping[str, str]) -> None:
        """Read what stands in or beside the file. Raises BadInput for JSON that is none."""
        self._path = path
        self._by_part = _of_metadata(path, metadata)
        self._whole = _beside(path) if path.name == _PEFT_FILE else {}

    def of(self, part: str, module: str) -> float:
        """The factor of the module at this path; 1 where nothing is said."""
        settings = self._by_part.get(part, self._whole)
        alpha = _chosen(settings, "alpha_pattern", module, settings.get("lora_alpha", settings.get("alpha")))
        rank = _chosen(settings, "rank_pattern", module, settings.get("r"))
        if alpha is None or rank is None:
            return 1.0
        if not (_is_number(alpha) and _is_number(rank) and rank > 0):
            raise _damaged(self._path)
        return alpha / (math.sqrt(rank) if settings.get("use_rslora") is True else rank)


def _chosen(settings: Mapping[str, Any], patterns: str, module: str, otherwise: Any) -> Any:
    """The value of the first pattern that ends the module's path, taken letter by letter: no expression is run."""
    found = settings.get(patterns)
    for pattern, value in found.items() if isinstance(found, dict) else ():
        ending = str(pattern).strip("^$")
        if module == ending or module.endswith(f".{ending}"):
            return value
    return otherwise


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= _MAX_NUMBER


def _of_metadata(path: Path, metadata: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    if _METADATA not in metadata:
        return {}
    by_part: dict[str, dict[str, Any]] = {}
    for name, value in _parsed(path, metadata[_METADATA]).items():
        part, _, field = name.partition(".")
        by_part.setdefault(part, {})[field] = value
    return by_part


def _beside(path: Path) -> dict[str, Any]:
    settings = path.with_name(_PEFT_SETTINGS)
    try:
        if settings.stat().st_size > _MAX_SETTINGS:
            raise _damaged(path)
        return _parsed(path, settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path) from error


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> BadInput:
    return BadInput(
        f"The settings of the LoRA “{path.name}” are damaged: its alpha and rank cannot be read.",
        "Download or copy it again, with the files beside it.",
        where=str(path),
    )
