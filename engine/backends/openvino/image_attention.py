"""A converted denoiser that attends to pictures, too: an IP-Adapter's keys and values become inputs of its graph.

The graph is changed as it is read, before it is compiled; nothing is exported anew, and one without pictures costs
nothing more. Which adapter it is, how many there are and how strong each is, the graph need not know.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops

KEYS, VALUES = "image_keys_", "image_values_"
"""The names of these inputs [1, heads, n, d] begin so; then come the adapter's place, a dot, and the layer's path."""
_LAYER = "__module.unet."
_WIDER = 2.0
"""How much wider the ranges of int8 become behind the attention: they were chosen without pictures."""


def keys_and_values(unet: Any, tokens: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inputs [b, heads, n, d] from tokens [b, pictures, n, c] of each IP-Adapter in a U-Net of diffusers.

    Its weight is in the values; one that counts nothing has no inputs.
    """
    found: dict[str, torch.Tensor] = {}
    for name, processor in unet.attn_processors.items():
        if not hasattr(processor, "to_k_ip"):
            continue
        path = name.removesuffix(".processor")
        heads = unet.get_submodule(path).heads
        for place, (own, weight) in enumerate(zip(tokens, processor.scale, strict=True)):
            if weight:
                seen = own.flatten(1, 2)
                found[f"{KEYS}{place}.{path}"] = _by_head(processor.to_k_ip[place](seen), heads)
                found[f"{VALUES}{place}.{path}"] = weight * _by_head(processor.to_v_ip[place](seen), heads)
    return found


def _by_head(each: torch.Tensor, heads: int) -> torch.Tensor:
    return each.unflatten(2, (heads, -1)).transpose(1, 2)


def add_image_attention(graph: openvino.Model, sizes: Mapping[str, tuple[int, ...]]) -> None:
    """Let the graph take those of the inputs in `sizes` that are keys and values of pictures, in place."""
    wanted = [name for name in sizes if name.startswith(KEYS)]
    if not wanted:
        return
    layers = {_path(node): node for node in graph.get_ordered_ops() if _is_cross_attention(node)}
    given: list[Any] = []
    for path, node in layers.items():
        readers = list(node.output(0).get_target_inputs())
        total: Any = node
        for name in wanted:
            if name.partition(".")[2] != path:
                continue
            keys, values = (_parameter(each, sizes[each]) for each in (name, VALUES + name.removeprefix(KEYS)))
            given += [keys, values]
            total = ops.add(total, ops.scaled_dot_product_attention(node.input_value(0), keys, values))
        if total is not node:
            for each in readers:
                each.replace_source_output(total.output(0))
            _widen(total)
    graph.add_parameters(given)


def _is_cross_attention(node: Any) -> bool:
    return node.get_type_name() == "ScaledDotProductAttention" and ".attn2/" in node.get_friendly_name()


def _path(node: Any) -> str:
    return node.get_friendly_name().removeprefix(_LAYER).partition("/")[0]


def _parameter(name: str, size: tuple[int, ...]) -> Any:
    node = ops.parameter(list(size), np.float32, name)
    node.output(0).get_tensor().set_names({name})
    return node


def _widen(node: Any) -> None:
    """Give the quantised range that the node's values pass next more room, if there is one before a product."""
    while True:
        readers = list(node.output(0).get_target_inputs())
        if len(readers) != 1 or readers[0].get_node().get_type_name() not in ("Transpose", "Reshape", "FakeQuantize"):
            return
        node = readers[0].get_node()
        if node.get_type_name() == "FakeQuantize":
            for place in range(1, 5):
                bound = node.input_value(place).get_node()
                node.input(place).replace_source_output(ops.constant(bound.get_data() * np.float32(_WIDER)).output(0))
            return
