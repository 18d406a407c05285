"""A network on the CPU as OpenVINO runs it: compiled for the one size of a picture's tiles."""

import warnings
from collections.abc import Callable

import openvino
import torch
from torch import Tensor

from engine.manners import openvino_options
from engine.patience import Wait
from engine.upscalers.network import Network

Shape = tuple[int, ...]
_EXPECTED_SECONDS = 10.0
"""What a full ESRGAN took, the slowest of the common ones."""


class Graph:
    """Compiled anew when the size changes, which for tiles of one picture it does not; static shapes are fastest."""

    def __init__(self, model: Callable[[Shape], openvino.Model], precision: str) -> None:
        """`model` gives the uncompiled graph for pixels of a shape; all but "fp32" mean bf16 where the CPU has it."""
        self._model = model
        self._wants_bf16 = precision != "fp32"
        self._shape: Shape = ()
        self._compiled: openvino.CompiledModel | None = None

    def __call__(self, pixels: Tensor) -> Tensor:
        """Float32 in and out, [1, c, h, w] to [1, c, h * scale, w * scale]."""
        shape = tuple(pixels.shape)
        if self._compiled is None or shape != self._shape:
            waiting = Wait(lambda wait: self._compile(shape, wait))
            self._compiled, self._shape = waiting.result("Preparing the upscaler"), shape
        result = self._compiled([pixels.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(result[0].copy())

    def _compile(self, shape: Shape, wait: Wait[openvino.CompiledModel]) -> openvino.CompiledModel:
        wait.expected_seconds = _EXPECTED_SECONDS
        core = openvino.Core()
        bf16 = self._wants_bf16 and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
        return core.compile_model(self._model(shape), "CPU", hints | openvino_options())


def traced(network: Network) -> Callable[[Shape], openvino.Model]:
    """What makes a torch network's graph for a shape."""

    def model(shape: Shape) -> openvino.Model:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # that sizes become constants is what we want
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch's tracing, which OpenVINO still reads best
            # Left to itself OpenVINO traces twice, to compare: 13 s in place of 5 for a full ESRGAN.
            script = torch.jit.trace(network, torch.zeros(shape), check_trace=False)
            graph = openvino.convert_model(script, example_input=torch.zeros(shape))
        graph.reshape(openvino.PartialShape(shape))
        return graph

    return model
