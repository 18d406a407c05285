"""Shells: modules of diffusers' own classes, without weights, whose forward runs a compiled graph.

Every pipeline, `isinstance` check and `.config` works on them unchanged.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from safetensors import safe_open
from transformers import CLIPTextConfig, CLIPTextModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from engine.backends.openvino.graphs import Graph
from engine.components import Component, config_of
from engine.library.recognise import weights

_CPU = torch.device("cpu")


class UnetShell(UNet2DConditionModel):
    """The denoiser."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        encoder_hidden_states: torch.Tensor,
        *_: Any,
        return_dict: bool = True,
        **__: Any,
    ) -> Any:
        """The prediction for latents [b, c, h, w], prompt embeds [b, n, d]; one example of the batch at a time.

        A graph of batch 1 serves with and without guidance, and needs half the memory.
        """
        moment = np.asarray(timestep, dtype=np.float32)
        predicted = [
            self.graph(_array(sample[each : each + 1]), moment, _array(encoder_hidden_states[each : each + 1]))
            for each in range(sample.shape[0])
        ]
        result = torch.from_numpy(np.concatenate(predicted))
        return UNet2DConditionOutput(sample=result) if return_dict else (result,)


class VaeShell(AutoencoderKL):
    """The decoder from latents to pixels; diffusers' own slicing and tiling run around the graph."""

    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]


class _Decoder(torch.nn.Module):
    """Pixels [1, 3, 8h, 8w] in -1 to 1 from unscaled latents [1, c, h, w]; the post-quant convolution is inside."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._graph(_array(latents)))


class TextEncoderShell(CLIPTextModel):
    """The text encoder; its table of token embeddings stays on the host."""

    graph: Graph
    table: torch.Tensor
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last hidden state [b, n, d] of token ids [b, n]."""
        embeds = self.table[input_ids]
        hidden = [self.graph(_array(embeds[each : each + 1])) for each in range(embeds.shape[0])]
        return BaseModelOutputWithPooling(last_hidden_state=torch.from_numpy(np.concatenate(hidden)))  # pyright: ignore[reportArgumentType]


def make(component: Component, converted: Path, precision: str) -> Any:
    """The shell for a component, around its graph in the folder `converted`."""
    config = config_of(component)
    graph = Graph(converted / f"{component.part}.xml", precision)
    with init_empty_weights():
        if component.class_name == "CLIPTextModel":
            shell: Any = TextEncoderShell(CLIPTextConfig(**config))
        elif component.class_name == "AutoencoderKL":
            shell = VaeShell(**config)
        else:
            shell = UnetShell(**config)
    if isinstance(shell, VaeShell):
        shell.post_quant_conv = torch.nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
        shell.decoder = _Decoder(graph)  # pyright: ignore[reportAttributeAccessIssue]
    else:
        shell.graph = graph
    if isinstance(shell, TextEncoderShell):
        shell.table = _table(weights(component.folder))
    return shell.eval()


def _table(path: Path) -> torch.Tensor:
    with safe_open(path, "pt") as file:
        return file.get_tensor("text_model.embeddings.token_embedding.weight").to(torch.float32)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).contiguous().numpy()
