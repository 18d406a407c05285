"""Upscalers in ONNX files, run by OpenVINO; their scale is found by trying them."""

from pathlib import Path
from typing import Any

import openvino
import torch
from openvino.preprocess import PrePostProcessor

from engine.errors import BadInput
from engine.upscalers.graph import Graph, Shape
from engine.upscalers.network import MAX_SCALE
from engine.upscalers.upscaler import Upscaler

FAMILY = "ONNX"
SIDE = 64
"""Of the trial; and of what multiples are asked for later, for nothing says which others would do."""
_CHANNELS = (1, 3)


def read_onnx(path: Path, precision: str) -> Upscaler:
    """The network in `path`, which takes pixels [1, c, h, w] in 0 to 1 and gives them enlarged.

    Raises BadInput naming the file for one that is damaged, or no upscaler of grey or RGB pictures.
    """
    try:
        network = openvino.Core().read_model(path)
        channels, size = _input(path, network)
        graph = Graph(lambda shape: _sized(path, shape), precision)
        height, width = size or (SIDE, SIDE)
        seen = graph(torch.full((1, channels, height, width), 0.5))
    except RuntimeError as error:  # all that OpenVINO says, of files and of graphs alike
        raise _refused(path, "it is damaged, or has parts that OpenVINO does not know") from error
    scale = seen.shape[-1] // width
    if (
        not 1 <= scale <= MAX_SCALE
        or seen.shape != (1, channels, height * scale, width * scale)
        or not seen.isfinite().all()
    ):
        raise _refused(path, "it gives no enlarged picture")
    return Upscaler(path.stem, FAMILY, scale, graph, channels, 1 if size else SIDE, size)


def _input(path: Path, network: openvino.Model) -> tuple[int, tuple[int, int] | None]:
    """Channels, and height and width where they are fixed."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise _refused(path, "it takes or gives more than one picture")
    shape: Any = network.inputs[0].get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != 4 or not network.inputs[0].get_element_type().is_real():
        raise _refused(path, "it takes no picture in floating point")
    channels = shape[1].get_length() if shape[1].is_static else max(_CHANNELS)
    if channels not in _CHANNELS:
        raise _refused(path, f"it takes {channels} channels, and Easel runs networks of 1 or 3")
    if shape[2].is_static and shape[3].is_static:
        return channels, (shape[2].get_length(), shape[3].get_length())
    return channels, None


def _sized(path: Path, shape: Shape) -> openvino.Model:
    """Read again, since a graph cannot be given a second size; float32 outside, whatever it has inside."""
    network = openvino.Core().read_model(path)
    network.reshape(openvino.PartialShape(shape))
    ends = PrePostProcessor(network)
    ends.input().tensor().set_element_type(openvino.Type.f32)
    ends.output().tensor().set_element_type(openvino.Type.f32)
    return ends.build()


def _refused(path: Path, why: str) -> BadInput:
    return BadInput(
        f"The upscaler “{path.name}” cannot be used: {why}.", "Download it again, or use another.", where=str(path)
    )
