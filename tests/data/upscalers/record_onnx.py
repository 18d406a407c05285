"""Writes the ONNX files of this folder: a tiny compact network, of free size, of fixed size, and in half precision.

Run in an environment of its own, beside the main one's packages (onnx is no dependency of Easel):
    .venv/bin/python -m venv /tmp/onnxvenv
    echo $PWD/.venv/lib/python3.11/site-packages > /tmp/onnxvenv/lib/python3.11/site-packages/main.pth
    /tmp/onnxvenv/bin/pip install --no-deps onnx onnxscript onnx-ir ml_dtypes protobuf
    /tmp/onnxvenv/bin/python -m tests.data.upscalers.record_onnx
"""

from pathlib import Path

import torch

from engine.upscalers.compact import Config, SRVGGNetCompact
from tests.data.upscalers import rule

CONFIG = Config(channels=3, width=6, convs=1, scale=2)


def network() -> SRVGGNetCompact:
    """The network of all three files."""
    made = SRVGGNetCompact(CONFIG).eval()
    made.load_state_dict(rule.tensors({name: each.shape for name, each in made.state_dict().items()}))
    return made


def write(name: str, module: torch.nn.Module, example: torch.Tensor, *, free: bool) -> None:
    names = {"input_names": ["pixels"], "output_names": ["enlarged"]}
    sizes = {"pixels": {0: "batch", 2: "height", 3: "width"}} if free else None
    path = Path(__file__).parent / f"{name}.onnx"
    torch.onnx.export(module, (example,), path, dynamo=False, opset_version=17, dynamic_axes=sizes, **names)


if __name__ == "__main__":
    write("free", network(), torch.zeros(1, 3, 16, 16), free=True)
    write("fixed", network(), torch.zeros(1, 3, 24, 40), free=False)
    write("half", network().half(), torch.zeros(1, 3, 16, 16).half(), free=True)
