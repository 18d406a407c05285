"""A model's heavy parts as OpenVINO graphs: free sizes, named inputs, weights under their torch names."""

from typing import Any

import openvino
import torch

from engine.components import Component, load

SIDE = 16
"""Latents a side in the example that is traced; the graph takes any size."""
CONTROL_PIXELS = 8
"""Pixels of a control image a latent: what every published ControlNet's embedding shrinks it by."""

REFINER_WIDTH = 1280
"""Of the prompt embeds that XL's refiner reads; it takes a size, a crop and an aesthetic score, the base two sizes."""
RESIDUAL = "residual_"
"""The names of the denoiser's inputs for residuals begin so, and end with their place; the middle's is the last."""


class _TextEncoder(torch.nn.Module):
    """From token embeddings [1, n, d], so that embeddings stay on the host.

    Gives the last hidden state [1, n, d], and the states before and after each layer [layers + 1, n, d] for clip skip.
    """

    def __init__(self, text_encoder: Any) -> None:
        super().__init__()
        self.text_encoder = text_encoder

    def forward(self, inputs_embeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        model = self.text_encoder.text_model
        hidden = model.embeddings(inputs_embeds=inputs_embeds)
        length = hidden.shape[1]
        causal = torch.full((length, length), float("-inf")).triu(1)[None, None]
        states = [hidden]
        for layer in model.encoder.layers:
            states.append(layer(states[-1], attention_mask=causal, is_causal=False))
        return model.final_layer_norm(states[-1]), torch.cat(states)


class _Unet(torch.nn.Module):
    """The denoiser.

    Behind its three inputs come the family's further ones, then what ControlNets add to its skip
    connections, and last to its middle.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.added = unet, _added(unet.config)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        *more: torch.Tensor,
    ) -> torch.Tensor:
        residuals = more[len(self.added) :]
        return self.unet(
            sample,
            timestep,
            encoder_hidden_states,
            added_cond_kwargs=dict(zip(self.added, more, strict=False)),
            down_block_additional_residuals=residuals[:-1],
            mid_block_additional_residual=residuals[-1],
            return_dict=False,
        )[0]


class _ControlNet(torch.nn.Module):
    def __init__(self, controlnet: Any) -> None:
        super().__init__()
        self.controlnet, self.added = controlnet, _added(controlnet.config)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *more: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        added = dict(zip(self.added, more, strict=True))
        steps, middle = self.controlnet(
            sample,
            timestep,
            encoder_hidden_states,
            controlnet_cond,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return (*steps, middle)


class _VaeDecoder(torch.nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(latents, return_dict=False)[0]


class _VaeEncoder(torch.nn.Module):
    """From pixels to the moments of the posterior, mean and logarithm of the variance."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vae.encode(pixels).latent_dist.parameters


def graphs_of(component: Component) -> dict[str, openvino.Model]:
    """The component's graphs by the name of their file: one, or two for an autoencoder."""
    module: Any = load(component)
    config = module.config
    with torch.no_grad():
        match component.class_name:
            case "CLIPTextModel" | "CLIPTextModelWithProjection":
                example = {"inputs_embeds": torch.zeros(1, 77, config.hidden_size)}
                return {component.part: _converted(_TextEncoder(module), example)}
            case "AutoencoderKL":
                latents = {"latents": torch.zeros(1, config.latent_channels, SIDE, SIDE)}
                pixels = {"pixels": torch.zeros(1, config.in_channels, 8 * SIDE, 8 * SIDE)}
                return {
                    "vae_decoder": _converted(_VaeDecoder(module), latents),
                    "vae_encoder": _converted(_VaeEncoder(module), pixels),
                }
            case "ControlNetModel":
                side = CONTROL_PIXELS * SIDE
                image = {"controlnet_cond": torch.zeros(1, config.conditioning_channels, side, side)}
                example = _denoiser_example(config) | image | _added(config)
                return {component.part: _converted(_ControlNet(module), example)}
            case _:
                example = _denoiser_example(config) | _added(config) | _residuals(config)
                return {component.part: _converted(_Unet(module), example)}


def _denoiser_example(config: Any) -> dict[str, torch.Tensor]:
    return {
        "sample": torch.zeros(1, config.in_channels, SIDE, SIDE),
        "timestep": torch.tensor(1.0),
        "encoder_hidden_states": torch.zeros(1, 77, config.cross_attention_dim),
    }


def _added(config: Any) -> dict[str, torch.Tensor]:
    """What Stable Diffusion XL conditions on besides the prompt's tokens: pooled embeds, and sizes and crops."""
    if config.addition_embed_type != "text_time":
        return {}
    numbers = 5 if config.cross_attention_dim == REFINER_WIDTH else 6
    pooled = config.projection_class_embeddings_input_dim - numbers * config.addition_time_embed_dim
    return {"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, numbers)}


def _residuals(config: Any) -> dict[str, torch.Tensor]:
    """A residual for each skip connection, and one for the middle, in the order in which diffusers lists them."""
    widths, layers = config.block_out_channels, config.layers_per_block
    layers = [layers] * len(widths) if isinstance(layers, int) else layers
    shapes = [(widths[0], SIDE)]
    for level, (width, count) in enumerate(zip(widths, layers, strict=True)):
        shapes += [(width, SIDE >> level)] * count
        if level + 1 < len(widths):
            shapes.append((width, SIDE >> level + 1))
    shapes.append((widths[-1], SIDE >> len(widths) - 1))
    return {f"{RESIDUAL}{place}": torch.zeros(1, width, side, side) for place, (width, side) in enumerate(shapes)}


def _converted(module: torch.nn.Module, example: dict[str, torch.Tensor]) -> openvino.Model:
    """The graph with the inputs named as in `example`, which is in the order of the module's arguments."""
    graph = openvino.convert_model(module.eval(), example_input=tuple(example.values()))
    for each, name in zip(graph.inputs, example, strict=True):
        each.get_tensor().set_names({name})
    return graph
