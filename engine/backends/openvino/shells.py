"""Shells: modules of diffusers' own classes, without weights, whose forward runs a compiled graph.

Every pipeline, `isinstance` check and `.config` works on them unchanged.
"""

import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ControlNetUnionModel,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from diffusers.models.controlnets.controlnet import ControlNetOutput
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling
from transformers.models.clip.modeling_clip import CLIPTextModelOutput

from engine.backends.openvino.batches import array, one_by_one
from engine.backends.openvino.exports import FEATURE, RESIDUAL
from engine.backends.openvino.graphs import Graph
from engine.backends.openvino.image_attention import keys_and_values
from engine.backends.openvino.transformer_nets import THOUSANDTHS, FluxNetShell, Sd3NetShell
from engine.backends.openvino.varying import PERTURBED
from engine.components import Component, config_of, original

_CPU = torch.device("cpu")
EXACT = "fp32"
"""What T5 counts in whatever the precision: in bf16 OpenVINO 2026.4.1 gave other values each time it was compiled."""


class UnetShell(UNet2DConditionModel):
    """The denoiser."""

    graph: Graph
    _pictures: tuple[list[torch.Tensor], dict[str, torch.Tensor]] | None = None
    perturbable = False
    """Whether the graph takes `perturbed`."""
    perturbed = 0
    """Of how many examples, the last ones of a batch, the middle's self-attention is made the identity."""
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        encoder_hidden_states: torch.Tensor,
        *_: Any,
        timestep_cond: torch.Tensor | None = None,
        added_cond_kwargs: dict[str, torch.Tensor] | None = None,
        down_block_additional_residuals: tuple[torch.Tensor, ...] | None = None,
        mid_block_additional_residual: torch.Tensor | None = None,
        down_intrablock_additional_residuals: Sequence[torch.Tensor] | None = None,
        return_dict: bool = True,
        **__: Any,
    ) -> Any:
        """The prediction for latents [b, c, h, w], prompt embeds [b, n, d], and what ControlNets and adapters add.

        One example of the batch at a time: a graph of batch 1 serves with and without guidance, in half the memory.
        """
        added = dict(added_cond_kwargs or {})
        pictures: Any = added.pop("image_embeds", None)
        given = {"sample": sample, "encoder_hidden_states": encoder_hidden_states}
        given |= _as_waves(self, timestep, len(sample), added)
        if pictures is not None:
            given |= self._seen_in(pictures)
        if mid_block_additional_residual is not None:
            residuals = (*(down_block_additional_residuals or ()), mid_block_additional_residual)
            given |= {f"{RESIDUAL}{place}": each for place, each in enumerate(residuals)}
        if timestep_cond is not None:
            given["timestep_cond"] = timestep_cond.expand(len(sample), -1)
        features = down_intrablock_additional_residuals or ()
        given |= {f"{FEATURE}{place}": each for place, each in enumerate(features) if self._takes(place, each, sample)}
        if self.perturbable:
            is_last = torch.arange(len(sample)) >= len(sample) - self.perturbed
            given[PERTURBED] = is_last.float().reshape(-1, 1, 1, 1)
        (result,) = one_by_one(self.graph, given)
        return UNet2DConditionOutput(sample=result) if return_dict else (result,)

    def to(self, *_: Any, **__: Any) -> "UnetShell":  # pyright: ignore[reportIncompatibleVariableOverride]
        """Itself: its weights are in the graph, and those of an IP-Adapter in float32 on the CPU."""
        return self

    def _seen_in(self, pictures: list[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The keys and values of an IP-Adapter's pictures for every layer, kept from step to step."""
        if self._pictures is None or not all(map(operator.is_, self._pictures[0], pictures)):
            projected: Any = self.encoder_hid_proj
            self._pictures = pictures, keys_and_values(self, projected(pictures))
        return self._pictures[1]

    def _takes(self, place: int, feature: torch.Tensor, sample: torch.Tensor) -> bool:
        """Whether a T2I-Adapter's feature is added: one a block, and to the middle where it has the middle's shape."""
        widths: Sequence[int] = self.config["block_out_channels"]
        side = sample.shape[-1] >> len(widths) - 1
        return place < len(widths) or (place == len(widths) and feature.shape[1::2] == (widths[-1], side))


class ControlNetShell(ControlNetModel):
    """What steers the denoiser along a control image."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        encoder_hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        conditioning_scale: float = 1.0,
        *_: Any,
        added_cond_kwargs: dict[str, torch.Tensor] | None = None,
        guess_mode: bool = False,
        return_dict: bool = True,
        **__: Any,
    ) -> Any:
        """The residuals for the denoiser's skip connections and its middle, scaled as diffusers scales them."""
        given = {
            "sample": sample,
            "encoder_hidden_states": encoder_hidden_states,
            "controlnet_cond": controlnet_cond.expand(len(sample), -1, -1, -1),
        } | _as_waves(self, timestep, len(sample), added_cond_kwargs or {})
        found = one_by_one(self.graph, given)
        pooled = self.config["global_pool_conditions"]
        if guess_mode and not pooled:
            scales = torch.logspace(-1, 0, len(found)) * conditioning_scale
        else:
            scales = torch.full((len(found),), conditioning_scale)
        scaled = [each * scale for each, scale in zip(found, scales, strict=True)]
        if pooled:
            scaled = [each.mean(dim=(2, 3), keepdim=True) for each in scaled]
        steps, middle = scaled[:-1], scaled[-1]
        if not return_dict:
            return steps, middle
        return ControlNetOutput(tuple(steps), middle)  # pyright: ignore[reportArgumentType]


class UnionShell(ControlNetUnionModel):
    """What steers the denoiser along several control images of different kinds at once."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        encoder_hidden_states: torch.Tensor,
        controlnet_cond: list[torch.Tensor],
        control_type_idx: list[int],
        conditioning_scale: list[float],
        *,
        added_cond_kwargs: dict[str, torch.Tensor],
        **__: Any,
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The residuals for the denoiser's skip connections and its middle; one image's scale is theirs, too."""
        alone = len(controlnet_cond) == 1
        images = [each.expand(len(sample), -1, -1, -1) for each in controlnet_cond]
        given = {
            "sample": sample,
            "encoder_hidden_states": encoder_hidden_states,
            "controlnet_cond": torch.stack(images, dim=1),
        } | _as_waves(self, timestep, len(sample), added_cond_kwargs)
        shared = {
            "kinds": np.eye(self.config["num_control_type"], dtype=np.float32)[control_type_idx],
            "weights": np.ones((1, 1), np.float32) if alone else np.asarray([conditioning_scale], np.float32).T.copy(),
        }
        found = one_by_one(self.graph, given, **shared)
        scaled = [each * conditioning_scale[0] for each in found] if alone else found
        return scaled[:-1], scaled[-1]


class Sd3TransformerShell(SD3Transformer2DModel):
    """Stable Diffusion 3's denoiser."""

    graph: Graph
    component: Component
    """What it stands for."""
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        block_controlnet_hidden_states: list[torch.Tensor] | None = None,
        *_: Any,
        return_dict: bool = True,
        **__: Any,
    ) -> Any:
        """The prediction for latents [b, c, h, w], prompt embeds [b, n, d] and [b, p], and timesteps [b].

        ControlNets add something behind every block [b, m, e]; behind the last one it is not counted.
        """
        given = {
            "hidden_states": hidden_states,
            "encoder_hidden_states": encoder_hidden_states,
            "pooled_projections": pooled_projections,
            "timestep": self.time_text_embed.time_proj(timestep),
        }
        given |= {f"{RESIDUAL}{place}": each for place, each in enumerate((block_controlnet_hidden_states or [])[:-1])}
        (result,) = one_by_one(self.graph, given)
        return Transformer2DModelOutput(sample=result) if return_dict else (result,)  # pyright: ignore[reportArgumentType]


class FluxTransformerShell(FluxTransformer2DModel):
    """FLUX.1's denoiser; where its tokens are, it is told from outside."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        img_ids: torch.Tensor,
        txt_ids: torch.Tensor,
        guidance: torch.Tensor | None = None,
        *_: Any,
        controlnet_block_samples: list[torch.Tensor] | None = None,
        controlnet_single_block_samples: list[torch.Tensor] | None = None,
        return_dict: bool = True,
        **__: Any,
    ) -> Any:
        """The prediction for packed latents [b, n, c], prompt embeds [b, m, d] and [b, p], timesteps [b] of 0 to 1.

        The ids are the places of the prompt's tokens [m, 3] and of the picture's [n, 3]. ControlNets add something
        behind every block, or every single block [b, n, e].
        """
        given = {
            "hidden_states": hidden_states,
            "encoder_hidden_states": encoder_hidden_states,
            "pooled_projections": pooled_projections,
            "timestep": self.time_text_embed.time_proj(timestep * THOUSANDTHS),
        }
        given |= {f"{RESIDUAL}{place}": each for place, each in enumerate(controlnet_block_samples or [])}
        behind: int = self.config["num_layers"]
        given |= {
            f"{RESIDUAL}{place}": each for place, each in enumerate(controlnet_single_block_samples or [], behind)
        }
        if guidance is not None:
            given["guidance"] = self.time_text_embed.time_proj(guidance * THOUSANDTHS)
        places = self.pos_embed(torch.cat((txt_ids, img_ids)))
        cosines, sines = map(array, places)
        (result,) = one_by_one(self.graph, given, cosines=cosines, sines=sines)
        return Transformer2DModelOutput(sample=result) if return_dict else (result,)  # pyright: ignore[reportArgumentType]


class VaeShell(AutoencoderKL):
    """Both ways between pixels and latents; diffusers' own slicing and tiling run around the graphs."""

    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]


class _Decoder(torch.nn.Module):
    """Pixels [1, 3, 8h, 8w] in -1 to 1 from unscaled latents [1, c, h, w]; the post-quant convolution is inside."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return one_by_one(self.graph, {"latents": latents})[0]


class _Encoder(torch.nn.Module):
    """The moments [b, 2c, h, w] of the posterior of pixels [b, 3, 8h, 8w]; the quant convolution is inside."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return one_by_one(self.graph, {"pixels": pixels})[0]


class TextEncoderShell(CLIPTextModel):
    """The text encoder; its table of token embeddings and its last norm stay on the host."""

    graph: Graph
    table: torch.Tensor
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: torch.Tensor, *_: Any, output_hidden_states: bool = False, **__: Any
    ) -> Any:
        """The last hidden state [b, n, d] of token ids [b, n], and with `output_hidden_states` those before it.

        The pooled state [b, d] is the last one at the end token.
        """
        found = [self.graph(inputs_embeds=array(self.table[row][None])) for row in input_ids]
        last = torch.from_numpy(np.concatenate([each[0] for each in found]))
        states = torch.from_numpy(np.stack([each[1] for each in found], axis=1))
        end: Any = self.config.eos_token_id
        ends = (input_ids == end).int().argmax(dim=-1)
        return BaseModelOutputWithPooling(
            last_hidden_state=last,  # pyright: ignore[reportArgumentType]
            pooler_output=last[torch.arange(len(ends)), ends],  # pyright: ignore[reportArgumentType]
            hidden_states=tuple(states) if output_hidden_states else None,  # pyright: ignore[reportArgumentType]
        )


class ProjectedTextEncoderShell(CLIPTextModelWithProjection):
    """A text encoder whose last state at the end token is projected, too: Stable Diffusion XL's second."""

    inner: TextEncoderShell
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: torch.Tensor, *_: Any, output_hidden_states: bool = False, **__: Any
    ) -> Any:
        """As the text encoder's, with the pooled embeds [b, d] first."""
        seen = self.inner(input_ids, output_hidden_states=output_hidden_states)
        return CLIPTextModelOutput(
            text_embeds=self.text_projection(seen.pooler_output),
            last_hidden_state=seen.last_hidden_state,
            hidden_states=seen.hidden_states,
        )


class SentenceEncoderShell(T5EncoderModel):
    """T5's encoder; its table of token embeddings stays on the host."""

    graph: Graph
    table: torch.Tensor
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(self, input_ids: torch.Tensor, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The last hidden state [b, n, d] of token ids [b, n]."""
        found = [self.graph(inputs_embeds=array(self.table[row][None]))[0] for row in input_ids]
        return BaseModelOutput(last_hidden_state=torch.from_numpy(np.concatenate(found)))  # pyright: ignore[reportArgumentType]


_DENOISERS: dict[str, Any] = {
    "UNet2DConditionModel": UnetShell,
    "ControlNetModel": ControlNetShell,
    "ControlNetUnionModel": UnionShell,
    "SD3Transformer2DModel": Sd3TransformerShell,
    "FluxTransformer2DModel": FluxTransformerShell,
    "SD3ControlNetModel": Sd3NetShell,
    "FluxControlNetModel": FluxNetShell,
}


def make(component: Component, converted: Path, precision: str) -> Any:
    """The shell for a component, around its graphs in the folder `converted`."""
    make_one = {
        "AutoencoderKL": _autoencoder,
        "CLIPTextModel": _text_encoder,
        "CLIPTextModelWithProjection": _projected_text_encoder,
        "T5EncoderModel": _sentence_encoder,
    }.get(component.class_name, _denoiser)
    return make_one(component, converted, precision).eval()


def make_denoiser(component: Component, graph: Any) -> Any:
    """The shell for a component of one graph, around whatever is called like one."""
    with init_empty_weights():
        shell = _DENOISERS[component.class_name](**config_of(component))
    shell.graph, shell.component = graph, component
    return shell


def _denoiser(component: Component, converted: Path, precision: str) -> Any:
    return make_denoiser(component, Graph(converted / f"{component.part}.xml", precision))


def _autoencoder(component: Component, converted: Path, precision: str) -> VaeShell:
    with init_empty_weights():
        shell: Any = VaeShell(**config_of(component))
    shell.quant_conv = shell.post_quant_conv = torch.nn.Identity()
    shell.decoder = _Decoder(Graph(converted / "vae_decoder.xml", precision))
    shell.encoder = _Encoder(Graph(converted / "vae_encoder.xml", precision))
    return shell


def _text_encoder(component: Component, converted: Path, precision: str) -> TextEncoderShell:
    config = config_of(component)
    with init_empty_weights():
        shell: Any = TextEncoderShell(CLIPTextConfig(**config))
    shell.graph = Graph(converted / f"{component.part}.xml", precision)
    shell.table = original(component, "text_model.embeddings.token_embedding.weight")
    shell.text_model.final_layer_norm = _last_norm(component, config)
    return shell


def _projected_text_encoder(component: Component, converted: Path, precision: str) -> ProjectedTextEncoderShell:
    with init_empty_weights():
        shell: Any = ProjectedTextEncoderShell(CLIPTextConfig(**config_of(component)))
    shell.inner = _text_encoder(component, converted, precision)
    shell.text_model = shell.inner.text_model
    projection = original(component, "text_projection.weight")
    shell.text_projection = torch.nn.Linear(projection.shape[1], projection.shape[0], bias=False)
    shell.text_projection.weight = torch.nn.Parameter(projection, requires_grad=False)
    return shell


def _sentence_encoder(component: Component, converted: Path, _precision: str) -> SentenceEncoderShell:
    with init_empty_weights():
        shell: Any = SentenceEncoderShell(T5Config(**config_of(component)))
    shell.graph = Graph(converted / f"{component.part}.xml", EXACT)
    shell.table = original(component, "shared.weight")
    return shell


def _last_norm(component: Component, config: dict[str, Any]) -> torch.nn.LayerNorm:
    name = "text_model.final_layer_norm"
    weight, bias = (original(component, f"{name}.{each}") for each in ("weight", "bias"))
    norm = torch.nn.LayerNorm(len(weight), config.get("layer_norm_eps", 1e-5))
    norm.load_state_dict({"weight": weight, "bias": bias})
    return norm.requires_grad_(False)


def _as_waves(
    shell: Any, timestep: torch.Tensor | float, count: int, added: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What a U-Net or ControlNet is told besides, the timestep as waves [count, d] and XL's sizes as waves [count, e].

    Made in float32, as diffusers makes them in every precision.
    """
    times = torch.as_tensor(timestep, dtype=torch.float32).expand(count)
    given = added | {"timestep": shell.time_proj(times)}
    if "time_ids" in given:
        given["time_ids"] = shell.add_time_proj(given["time_ids"].flatten()).reshape(count, -1)
    return given
