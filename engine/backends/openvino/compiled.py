"""The folders of OpenVINO's compiled graphs: one for each graph, size and change of weights, within a limit."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.paths import cache

LIMIT_BYTES = 8 * 2**30
"""Of all of them together; programs in the field let theirs grow to 17 and 65 GB."""


def folder_for(graph: Path, hint: str, sizes: Mapping[str, tuple[int, ...]], weights: Mapping[str, np.ndarray]) -> Path:
    """The folder for a graph compiled so, made if need be and marked as used now; others go where there are too many.

    A folder a precision, too: OpenVINO 2026.4.1 leaves the hint out of its own key, and a blob compiled for f32 gives
    NaN when bf16 finds it (seen).
    """
    digest = hashlib.sha256(f"{graph} {hint} {sorted(sizes.items())}".encode())
    for path, weight in sorted(weights.items()):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(weight).data)
    folder = cache("compiled") / digest.hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    trim(folder.parent, LIMIT_BYTES)
    return folder


def trim(parent: Path, limit_bytes: int) -> None:
    """Remove the folders that were not used for longest until the rest is within the limit; the newest one stays."""
    found = sorted((each for each in parent.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime_ns)
    sizes = {each: sum(file.stat().st_size for file in each.rglob("*") if file.is_file()) for each in found}
    total = sum(sizes.values())
    for each in found[:-1]:
        if total <= limit_bytes:
            return
        shutil.rmtree(each, ignore_errors=True)
        total -= sizes[each]
