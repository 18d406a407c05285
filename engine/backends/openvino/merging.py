"""Changes of weights put into a converted graph: constants replaced under their torch names, nothing exported anew."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

INT8_LIMIT = 127


def replace_weights(graph: openvino.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Put each weight, float32 of the torch shape, in the place of the one at that module path, in place.

    A weight that was quantised is quantised again, symmetric and a scale a row as NNCF has it; the ranges of the
    activations stay. Raises KeyError for a path that the graph has no weight of.
    """
    places = _places(graph)
    for path, weight in weights.items():
        node = places[path]
        if node.get_type_name() == "Constant":
            new = ops.constant(weight.astype(np.float32))
            new.set_friendly_name(node.get_friendly_name())
            node.output(0).replace(new.output(0))
        else:
            _requantise(node, weight)


def _places(graph: openvino.Model) -> dict[str, Any]:
    """By module path: the constant that is its weight, or the product of integers and scales that stands for it."""
    found: dict[str, Any] = {}
    for node in graph.get_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        if kind == "Constant" and name.startswith("self.") and name.endswith(".weight"):
            found.setdefault(name.removesuffix(".weight").split(".", 2)[2], node)
        elif kind == "Multiply" and name.endswith("/fq_weights_1"):  # “self.” and “.weight” where activations are float
            found[name.split("/", 1)[0].removesuffix(".weight").split(".", 2)[2]] = node
    return found


def _requantise(product: Any, weight: np.ndarray) -> None:
    whole = product.input_value(0).get_node().input(0)
    scale = product.input(1)
    rows = tuple(range(1, weight.ndim))
    steps = np.abs(weight).max(axis=rows, keepdims=True) / INT8_LIMIT
    steps[steps == 0] = 1.0
    whole.replace_source_output(ops.constant(np.round(weight / steps).astype(np.int8)).output(0))
    shape, dtype = tuple(scale.get_shape()), scale.get_element_type().to_dtype()
    scale.replace_source_output(ops.constant(steps.astype(dtype).reshape(shape)).output(0))
