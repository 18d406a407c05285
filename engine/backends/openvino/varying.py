"""A converted graph that draws otherwise: convolutions that wrap around, FreeU, self-attention that can be perturbed.

Each changes a few operations of the graph as it is read, before it is compiled; nothing is exported anew, and what
was quantised stays so.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from engine.components import Variation

PERTURBED = "perturbed"
"""The input [1, 1, 1, 1] that a perturbable graph has besides its own: 1 for identity, 0 for self-attention."""
_SPATIAL = {2: 1, 3: 0}
"""By axis of a picture [b, c, h, w]: its place in `Variation.wrapped`."""


def vary(graph: openvino.Model, variation: Variation, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Give a graph that variation, and its inputs the fixed `sizes`, in place; inputs without one are left out before.

    Only a denoiser has what FreeU and the perturbation change; other graphs stay as they are.
    """
    if variation.perturbable:
        _perturbable(graph)
    graph.reshape({name: openvino.PartialShape(size) for name, size in sizes.items()})
    if any(variation.wrapped):
        for node in graph.get_ordered_ops():
            if node.get_type_name() == "Convolution" and len(node.get_input_shape(0)) == 4:
                _wrap(node, variation.wrapped)
    if variation.is_freeu:
        b1, b2, s1, s2 = variation.freeu
        for node in graph.get_ordered_ops():
            for stage, (strength, share) in enumerate(((b1, s1), (b2, s2))):
                if node.get_friendly_name().startswith(f"__module.unet.up_blocks.{stage}/aten::cat/"):
                    _freeu(node, strength, share)
    graph.validate_nodes_and_infer_types()


def _perturbable(graph: openvino.Model) -> None:
    """Identity in the place of the middle's self-attention, where the input says so: the values as they are."""
    found = [
        node
        for node in graph.get_ordered_ops()
        if node.get_type_name() == "ScaledDotProductAttention"
        and node.get_friendly_name().startswith("__module.unet.mid_block.")
        and ".attn1/" in node.get_friendly_name()
    ]
    if not found:
        return
    switch = ops.parameter([1, 1, 1, 1], np.float32, PERTURBED)
    switch.output(0).get_tensor().set_names({PERTURBED})
    graph.add_parameters([switch])
    for node in found:
        readers = _readers(node)
        values = node.input_value(2)
        change = ops.multiply(ops.subtract(values, node), switch)
        _put(readers, ops.add(node, change))


def _wrap(conv: Any, wrapped: tuple[bool, bool]) -> None:
    """The picture's other edge in the place of the zeros around it, along the axes that wrap."""
    given = conv.get_attributes()
    before, behind = list(given["pads_begin"]), list(given["pads_end"])
    seen = conv.input_value(0)
    for axis, place in _SPATIAL.items():
        low, high = before[axis - 2], behind[axis - 2]
        if not wrapped[place] or not (low or high):
            continue
        length = seen.get_shape()[axis]
        pieces = [seen]
        if low:
            pieces.insert(0, _slice(seen, length - low, length, axis))
        if high:
            pieces.append(_slice(seen, 0, high, axis))
        seen = ops.concat(pieces, axis).output(0)
        before[axis - 2] = behind[axis - 2] = 0
    readers = _readers(conv)
    new = ops.convolution(seen, conv.input_value(1), given["strides"], before, behind, given["dilations"])
    new.set_friendly_name(conv.get_friendly_name())
    _put(readers, new)


def _slice(seen: Any, start: int, stop: int, axis: int) -> Any:
    bounds = [ops.constant(np.array([each], np.int64)) for each in (start, stop, 1, axis)]
    return ops.slice(seen, *bounds)


def _freeu(join: Any, strength: float, share: float) -> None:
    """Half of the backbone's channels times `strength`, and the skip's lowest waves times `share` (diffusers'
    apply_freeu with its threshold of 1: of the frequencies -1 and 0 each way).
    """
    hidden, skip = join.input_value(0), join.input_value(1)
    width = hidden.get_shape()[1]
    factors = np.ones((1, width, 1, 1), np.float32)
    factors[:, : width // 2] = strength
    height, length = skip.get_shape()[2:]
    rows, columns = _lowest(height), _lowest(length)
    real, imaginary = (
        ops.matmul(ops.matmul(part(rows), skip, False, False), part(columns).T.copy(), False, False)
        for part in (_real, _imaginary)
    )
    low = ops.subtract(real, imaginary)
    join.input(0).replace_source_output(ops.multiply(hidden, ops.constant(factors)).output(0))
    weakened = ops.add(skip, ops.multiply(low, ops.constant(np.float32(share - 1))))
    join.input(1).replace_source_output(weakened.output(0))


def _lowest(count: int) -> np.ndarray:
    """The matrix [n, n] that leaves of a row of `count` numbers its waves of the frequencies -1 and 0."""
    apart = np.arange(count)[:, None] - np.arange(count)[None, :]
    waves = 1 + np.exp(-2j * np.pi * apart / count) if count > 1 else np.ones((1, 1), complex)
    return waves / count


def _real(waves: np.ndarray) -> np.ndarray:
    return np.real(waves).astype(np.float32)


def _imaginary(waves: np.ndarray) -> np.ndarray:
    return np.imag(waves).astype(np.float32)


def _readers(node: Any) -> list[Any]:
    return list(node.output(0).get_target_inputs())


def _put(readers: list[Any], new: Any) -> None:
    for each in readers:
        each.replace_source_output(new.output(0))
