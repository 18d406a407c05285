"""A graph of free sizes, compiled for each size it is asked for and kept."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import openvino
from openvino import opset13 as ops

from engine.backends.openvino.compiled import folder_for
from engine.backends.openvino.merging import replace_weights

KEPT = 4
"""Compiled sizes of one graph held in memory; the least recently used goes first."""

Sizes = tuple[tuple[str, tuple[int, ...]], ...]
Weights = Callable[[], Mapping[str, np.ndarray]]


class Graph:
    """One converted part. Static shapes only: int8 with free sizes has crashed OpenVINO on AMX."""

    def __init__(self, path: Path, precision: str) -> None:
        self._path = path
        self._hint = "f32" if precision == "fp32" else "bf16"
        self._compiled: OrderedDict[Sizes, openvino.CompiledModel] = OrderedDict()
        self._changed: Weights = dict

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs in float32, arrays of the caller's own. An input that is left out counts as nothing."""
        sizes = tuple((name, each.shape) for name, each in inputs.items())
        result = self._for(sizes)(inputs, share_inputs=True)
        return [result[place].copy() for place in range(len(result))]

    def change(self, weights: Weights) -> None:
        """From now on with these weights, by module path, in the place of its own; asked for at each compiling."""
        self._changed = weights
        self._compiled.clear()

    def _for(self, sizes: Sizes) -> openvino.CompiledModel:
        if sizes not in self._compiled:
            self._compiled[sizes] = self._compile(dict(sizes))
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(sizes)
        return self._compiled[sizes]

    def _compile(self, sizes: dict[str, tuple[int, ...]]) -> openvino.CompiledModel:
        core = openvino.Core()
        hint = self._hint if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"
        model = core.read_model(self._path)
        changed = self._changed()
        replace_weights(model, changed)
        _leave_out(model, sizes)
        model.reshape({name: openvino.PartialShape(size) for name, size in sizes.items()})
        return core.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": hint,
                "CACHE_DIR": str(folder_for(self._path, hint, sizes, changed)),
            },
        )


def _leave_out(model: openvino.Model, kept: Mapping[str, object]) -> None:
    """Put a zero in the place of every input that is not given; what it is added to then costs nothing."""
    for parameter in model.get_parameters():
        if not kept.keys() & parameter.output(0).get_names():
            rank = parameter.get_partial_shape().rank.get_length()
            zero = ops.constant(np.zeros([1] * rank, np.float32))
            parameter.output(0).replace(zero.output(0))
            model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
