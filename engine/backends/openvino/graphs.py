"""A graph of free sizes, compiled for each size it is asked for and kept."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
from openvino import opset13 as ops

from engine.backends.openvino.compiled import expected_seconds, folder_for, remember, way
from engine.backends.openvino.image_attention import add_image_attention
from engine.backends.openvino.merging import replace_weights
from engine.backends.openvino.varying import vary
from engine.components import Variation
from engine.manners import openvino_options
from engine.patience import Wait

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
        self._underway: dict[Sizes, Wait[openvino.CompiledModel]] = {}
        self._changed: Weights = dict
        self._variation = Variation()

    def __call__(self, **inputs: np.ndarray) -> list[np.ndarray]:
        """The graph's outputs in float32, arrays of the caller's own. An input that is left out counts as nothing."""
        sizes = tuple((name, each.shape) for name, each in inputs.items())
        result = self._for(sizes)(inputs, share_inputs=True)
        return [result[place].copy() for place in range(len(result))]

    def change(self, weights: Weights) -> None:
        """From now on with these weights, by module path, in the place of its own; asked for at each compiling."""
        self._changed = weights
        self._forget()

    def vary(self, variation: Variation) -> None:
        """From now on with that variation."""
        if variation != self._variation:
            self._variation = variation
            self._forget()

    def upcast(self) -> None:
        """From now on in float32."""
        if self._hint != "f32":
            self._hint = "f32"
            self._forget()

    def _forget(self) -> None:
        self._compiled.clear()
        self._underway.clear()

    def _for(self, sizes: Sizes) -> openvino.CompiledModel:
        if sizes not in self._compiled:
            self._compiled[sizes] = self._awaited(sizes)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(sizes)
        return self._compiled[sizes]

    def _awaited(self, sizes: Sizes) -> openvino.CompiledModel:
        """Compiled on a thread of its own: OpenVINO cannot be stopped. A job called off leaves it to the next one."""
        if sizes not in self._underway:
            changed, asked = self._changed, _Asked(self._path, self._hint, dict(sizes), self._variation)
            self._underway[sizes] = Wait(lambda wait: _compiled(asked, changed(), wait))
        compiling = self._underway[sizes]
        try:
            return compiling.result("Compiling the model")
        finally:
            if compiling.is_over:
                self._underway.pop(sizes)


class _Asked(NamedTuple):
    """What is to be compiled, and how."""

    path: Path
    hint: str
    sizes: dict[str, tuple[int, ...]]
    variation: Variation


def _compiled(
    asked: _Asked, changed: Mapping[str, np.ndarray], wait: Wait[openvino.CompiledModel]
) -> openvino.CompiledModel:
    path, hint, sizes, variation = asked
    core = openvino.Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hint = hint if "BF16" in able else "f32"
    folder = folder_for(path, hint if variation == Variation() else f"{hint} {variation}", sizes, changed)
    how, began = way(folder), time.monotonic()
    wait.expected_seconds = expected_seconds(path, how)
    model = core.read_model(path)
    replace_weights(model, changed)
    _leave_out(model, sizes)
    add_image_attention(model, sizes)
    vary(model, variation, sizes)
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint, "CACHE_DIR": str(folder)}
    compiled = core.compile_model(model, "CPU", options | openvino_options())
    remember(path, how, time.monotonic() - began)
    return compiled


def _leave_out(model: openvino.Model, kept: Mapping[str, object]) -> None:
    """Put a zero in the place of every input that is not given; what it is added to then costs nothing."""
    for parameter in model.get_parameters():
        if not kept.keys() & parameter.output(0).get_names():
            rank = parameter.get_partial_shape().rank.get_length()
            zero = ops.constant(np.zeros([1] * rank, np.float32))
            parameter.output(0).replace(zero.output(0))
            model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
