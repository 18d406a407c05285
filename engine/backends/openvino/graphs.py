"""A graph of free sizes, compiled for each size it is asked for and kept."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import openvino

from engine.paths import cache

KEPT = 4
"""Compiled sizes of one graph held in memory; the least recently used goes first."""

Sizes = tuple[tuple[int, ...], ...]


class Graph:
    """One converted part. Static shapes only: int8 with free sizes has crashed OpenVINO on AMX."""

    def __init__(self, path: Path, precision: str) -> None:
        self._path = path
        self._hint = "f32" if precision == "fp32" else "bf16"
        self._compiled: OrderedDict[Sizes, openvino.CompiledModel] = OrderedDict()

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        """The graph's one output, in float32; the array is the caller's own."""
        sizes = tuple(each.shape for each in inputs)
        result = self._for(sizes)(list(inputs), share_inputs=True)
        return result[0].copy()

    def _for(self, sizes: Sizes) -> openvino.CompiledModel:
        if sizes not in self._compiled:
            self._compiled[sizes] = self._compile(sizes)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(sizes)
        return self._compiled[sizes]

    def _compile(self, sizes: Sizes) -> openvino.CompiledModel:
        core = openvino.Core()
        hint = self._hint if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        model = core.read_model(self._path)
        model.reshape(dict(zip(model.inputs, map(openvino.PartialShape, sizes), strict=True)))
        return core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": hint,
                # A folder a precision: 2026.4.1 leaves the hint out of the cache's key, and a blob
                # compiled for f32 gives NaN when bf16 finds it (seen).
                "CACHE_DIR": str(cache("compiled") / hint),
            },
        )
