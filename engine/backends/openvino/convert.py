"""The converting process: a model's heavy parts as OpenVINO graphs, the denoiser in int8 where asked."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import openvino
import torch

from engine.backends.openvino.calibration import denoiser_inputs
from engine.backends.openvino.converted import Conversion
from engine.components import Component, load
from engine.messages import Preparing, line, own_output

WIDE = 640
"""The width from which an int8 matrix product beats bf16, measured on AMX; narrower ones stay in float."""


class _TextEncoder(torch.nn.Module):
    """From token embeddings [1, n, d] to the last hidden state, so that embeddings stay on the host."""

    def __init__(self, text_encoder: Any) -> None:
        super().__init__()
        self.text_encoder = text_encoder.text_model

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        hidden = self.text_encoder.embeddings(inputs_embeds=inputs_embeds)
        length = hidden.shape[1]
        causal = torch.full((length, length), float("-inf")).triu(1)[None, None]
        encoded = self.text_encoder.encoder(inputs_embeds=hidden, attention_mask=causal, is_causal=False)
        return self.text_encoder.final_layer_norm(encoded.last_hidden_state)


class _Unet(torch.nn.Module):
    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(
        self, sample: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> torch.Tensor:
        return self.unet(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class _VaeDecoder(torch.nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents, return_dict=False)[0]


def main(argument: str) -> int:
    """Convert as `argument`, a Conversion in JSON, asks; progress goes to standard output, a JSON line each."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    output = own_output()
    asked = msgspec.json.decode(argument, type=Conversion)
    convert(asked, lambda done: output.write(line(Preparing(what="Converting the model, once", done=done))))
    return 0


def convert(asked: Conversion, say: Callable[[float], object]) -> None:
    """Make the target folder; it appears under its name when everything is in it. `say` hears what is done, 0 to 1."""
    target = Path(asked.target)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.mkdir(parents=True)
    try:
        _convert(asked, part, say)
        _put(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _end_with_parent() -> None:
    while os.read(0, 4096):  # empty once the process that asked is gone; a buffered read would hang our own end
        pass
    os._exit(1)


def _put(part: Path, target: Path) -> None:
    try:
        part.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster, with the same graphs
            raise


def _convert(asked: Conversion, folder: Path, say: Callable[[float], object]) -> None:
    components = {part: Component(part, name, Path(asked.model) / part) for part, name in asked.components}
    for number, component in enumerate(components.values(), start=1):
        graph = graph_of(component)
        if asked.int8 and component.part == "unet":
            graph = quantised(graph, components, say)
        openvino.save_model(graph, folder / f"{component.part}.xml", compress_to_fp16=False)
        say(number / len(components))


def graph_of(component: Component) -> openvino.Model:
    """The component's graph with free sizes and named inputs; weights keep their torch names."""
    module = load(component)
    config: Any = module.config
    with torch.no_grad():
        if component.part == "text_encoder":
            example: tuple[torch.Tensor, ...] = (torch.zeros(1, 77, config.hidden_size),)
            return openvino.convert_model(_TextEncoder(module), example_input=example)
        if component.part == "vae":
            return openvino.convert_model(
                _VaeDecoder(module), example_input=(torch.zeros(1, config.latent_channels, 16, 16),)
            )
        example = (
            torch.zeros(1, config.in_channels, 16, 16),
            torch.tensor(1.0),
            torch.zeros(1, 77, config.cross_attention_dim),
        )
        return openvino.convert_model(_Unet(module), example_input=example)


def quantised(unet: openvino.Model, components: dict[str, Component], say: Callable[[float], object]) -> openvino.Model:
    """The denoiser with int8 weights and activations where that is faster, calibrated on its own sampling.

    NNCF's post-training quantisation; ranges come from whole sampling runs, so that every noise level counts.
    """
    import nncf

    inputs = list(denoiser_inputs(unet, components, lambda done: say(0.7 + 0.2 * done)))
    say(0.9)
    return nncf.quantize(
        unet,
        nncf.Dataset(inputs),
        subset_size=len(inputs),
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=_narrow(unet), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True, smooth_quant_alpha=-1.0),
    )


def _narrow(graph: openvino.Model) -> list[str]:
    """Names of the matrix products that int8 would not speed up, attention's own among them; and the two ends."""
    names: list[str] = []
    for op in graph.get_ops():
        name = op.get_friendly_name()
        if (
            op.get_type_name() == "MatMul"
            and _inner_width(op) < WIDE
            or op.get_type_name() == "ScaledDotProductAttention"
            or any(end in name for end in (".conv_in/", ".conv_out/"))
        ):
            names.append(name)
    return names


def _inner_width(product: Any) -> int:
    weight = product.input_value(1)
    if weight.get_node().get_type_name() not in ("Constant", "Convert") or not weight.get_partial_shape().is_static:
        return 0
    return max(weight.get_shape()[-2:]) if len(weight.get_shape()) < 2 else weight.get_shape()[-1]
