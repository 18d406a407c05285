"""A model's heavy parts as OpenVINO graphs: free sizes, named inputs, weights under their torch names."""

from collections.abc import Callable
from typing import Any

import openvino
import torch

from engine.backends.openvino.transformer_nets import THOUSANDTHS, FluxNet, Given, Sd3Net
from engine.backends.openvino.union import UnionNet
from engine.components import Component, load

SIDE = 16
"""Latents a side in the example that is traced; the graph takes any size."""
SENTENCE = 32
"""Tokens of a prompt in the example for transformers; the graph takes any number."""
WAVES = 256
"""Sines and cosines that tell transformers the timestep."""
CONTROL_PIXELS = 8
"""Pixels of a control image a latent: what every published ControlNet's embedding shrinks it by."""

REFINER_WIDTH = 1280
"""Of the prompt embeds that XL's refiner reads; it takes a size, a crop and an aesthetic score, the base two sizes."""
RESIDUAL = "residual_"
"""The names of the denoiser's inputs for residuals begin so, and end with their place; the middle's is the last."""
FEATURE = "feature_"
"""The names of its inputs for what T2I-Adapters add inside its blocks, one a block and the last for the middle."""


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


_NO_TIME = torch.zeros(1)
"""What a denoiser is told as its timestep where the waves are given instead."""


def _waves_given(denoiser: Any) -> Given:
    """Let it take the timestep's waves, in the place returned, and XL's sizes as waves; in bf16 a graph would tell
    few of a thousand apart.
    """
    denoiser.time_proj = waves = Given()
    denoiser.add_time_proj = torch.nn.Identity()
    return waves


class _Unet(torch.nn.Module):
    """The denoiser. The timestep comes as waves [1, d].

    Behind its three inputs come the family's further ones, then what ControlNets add to its skip
    connections, and last to its middle; then what T2I-Adapters add inside its blocks.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet, self.added, self.waves = unet, _added(unet.config), _waves_given(unet)
        self.residuals = len(_residuals(unet.config))
        self.is_told = bool(told_guidance(unet.config))

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        *more: torch.Tensor,
    ) -> torch.Tensor:
        residuals = more[len(self.added) :][: self.residuals]
        features = more[len(self.added) + self.residuals : len(more) - self.is_told]
        self.waves.now = timestep
        return self.unet(
            sample,
            _NO_TIME,
            encoder_hidden_states,
            timestep_cond=more[-1] if self.is_told else None,
            added_cond_kwargs=dict(zip(self.added, more, strict=False)),
            down_block_additional_residuals=residuals[:-1],
            mid_block_additional_residual=residuals[-1],
            down_intrablock_additional_residuals=list(features),
            return_dict=False,
        )[0]


class _ControlNet(torch.nn.Module):
    """Steers the denoiser along a control image. The timestep comes as waves [1, d]."""

    def __init__(self, controlnet: Any) -> None:
        super().__init__()
        self.controlnet, self.added = controlnet, _added(controlnet.config)
        self.waves = _waves_given(controlnet)

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *more: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        added = dict(zip(self.added, more, strict=True))
        self.waves.now = timestep
        steps, middle = self.controlnet(
            sample,
            _NO_TIME,
            encoder_hidden_states,
            controlnet_cond,
            added_cond_kwargs=added,
            return_dict=False,
        )
        return (*steps, middle)


class _Sd3Transformer(torch.nn.Module):
    """Stable Diffusion 3's. The timestep comes as waves [1, 256]: in bf16 a graph would tell few timesteps apart.

    Last comes what ControlNets add behind each of its blocks but the last.
    """

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        transformer.time_text_embed.time_proj = torch.nn.Identity()

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        *residuals: torch.Tensor,
    ) -> torch.Tensor:
        given = (hidden_states, encoder_hidden_states, pooled_projections, timestep)
        every = [*residuals, None] if residuals else None  # as many as blocks; behind the last one none is looked at
        return self.transformer(*given, block_controlnet_hidden_states=every, return_dict=False)[0]


class _FluxTransformer(torch.nn.Module):
    """FLUX.1's. The cosines and sines of all tokens' places [n, d] are made on the host, too.

    Behind them comes what ControlNets add behind each block and each single block. The guidance comes last, in models
    that take one, as waves like the timestep.
    """

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self.blocks, self.singles = transformer.config.num_layers, transformer.config.num_single_layers
        transformer.pos_embed = self.places = Given()
        transformer.time_text_embed.time_proj = torch.nn.Identity()

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        *more: torch.Tensor,
    ) -> torch.Tensor:
        self.places.now = (cosines, sines)
        none = torch.zeros(0, 3)
        guidance = more[self.blocks + self.singles :]
        return self.transformer(
            hidden_states,
            encoder_hidden_states,
            pooled_projections,
            timestep / THOUSANDTHS,
            img_ids=none,
            txt_ids=none,
            guidance=guidance[0] / THOUSANDTHS if guidance else None,
            controlnet_block_samples=more[: self.blocks] or None,
            controlnet_single_block_samples=more[self.blocks : self.blocks + self.singles] or None,
            return_dict=False,
        )[0]


class _SentenceEncoder(torch.nn.Module):
    """T5's encoder from token embeddings [1, n, d] to its last hidden state [1, n, d]."""

    def __init__(self, text_encoder: Any) -> None:
        super().__init__()
        self.text_encoder = text_encoder

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        encoder = self.text_encoder.encoder
        hidden, bias = inputs_embeds, None
        for block in encoder.block:
            hidden, bias = block(hidden, position_bias=bias)[:2]
        return encoder.final_layer_norm(hidden)


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


def graphs_of(component: Component, placed: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, openvino.Model]:
    """The component's graphs by the name of their file: one, or two for an autoencoder.

    `placed` says where each weight lies, as for `components.load`; the graphs' constants lie there, too.
    """
    module: Any = load(component, placed)
    config = module.config
    with torch.no_grad():
        match component.class_name:
            case "CLIPTextModel" | "CLIPTextModelWithProjection":
                example = {"inputs_embeds": torch.zeros(1, 77, config.hidden_size)}
                return {component.part: _converted(_TextEncoder(module), example)}
            case "T5EncoderModel":
                example = {"inputs_embeds": torch.zeros(1, SENTENCE, config.d_model)}
                return {component.part: _converted(_SentenceEncoder(module), example)}
            case "SD3Transformer2DModel":
                picture = torch.zeros(1, config.in_channels, SIDE, SIDE)
                example = {"hidden_states": picture} | _transformer_example(config) | behind_blocks(config)
                return {component.part: _converted(_Sd3Transformer(module), example)}
            case "FluxTransformer2DModel":
                example = _flux_example(config) | behind_blocks(config) | _guidance(config)
                return {component.part: _converted(_FluxTransformer(module), example)}
            case "FluxControlNetModel":
                return {component.part: _converted(FluxNet(module), _flux_net_example(config))}
            case "SD3ControlNetModel":
                return {component.part: _converted(Sd3Net(module), _sd3_net_example(config))}
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
            case "ControlNetUnionModel":
                side, types = CONTROL_PIXELS * SIDE, config.num_control_type
                images = {
                    "controlnet_cond": torch.zeros(1, 2, config.conditioning_channels, side, side),
                    "kinds": torch.eye(2, types),
                    "weights": torch.ones(2, 1),
                }
                example = _denoiser_example(config) | images | _added(config)
                return {component.part: _converted(UnionNet(module), example)}
            case _:
                example = _denoiser_example(config) | _added(config) | from_adapters(config) | told_guidance(config)
                return {component.part: _converted(_Unet(module), example)}


def _denoiser_example(config: Any) -> dict[str, torch.Tensor]:
    return {
        "sample": torch.zeros(1, config.in_channels, SIDE, SIDE),
        "timestep": torch.ones(1, config.block_out_channels[0]),
        "encoder_hidden_states": torch.zeros(1, 77, config.cross_attention_dim),
    }


def _transformer_example(config: Any) -> dict[str, torch.Tensor]:
    return {
        "encoder_hidden_states": torch.zeros(1, SENTENCE, config.joint_attention_dim),
        "pooled_projections": torch.zeros(1, config.pooled_projection_dim),
        "timestep": torch.ones(1, WAVES),
    }


def _flux_example(config: Any) -> dict[str, torch.Tensor]:
    tokens = (SIDE // 2) ** 2
    places = torch.zeros(SENTENCE + tokens, config.attention_head_dim)
    example = {"hidden_states": torch.zeros(1, tokens, config.in_channels)} | _transformer_example(config)
    return example | {"cosines": places, "sines": places}


def _guidance(config: Any) -> dict[str, torch.Tensor]:
    return {"guidance": torch.ones(1, WAVES)} if config.guidance_embeds else {}


def behind_blocks(config: Any) -> dict[str, torch.Tensor]:
    """A residual for each of a transformer's blocks; behind the last one of Stable Diffusion 3 there is none."""
    single = config.get("num_single_layers")
    count = config.num_layers - 1 if single is None else config.num_layers + single
    width = config.num_attention_heads * config.attention_head_dim
    return {f"{RESIDUAL}{place}": torch.zeros(1, (SIDE // 2) ** 2, width) for place in range(count)}


def _flux_net_example(config: Any) -> dict[str, torch.Tensor]:
    side, latents = CONTROL_PIXELS * SIDE, torch.zeros(1, (SIDE // 2) ** 2, config.in_channels)
    is_seen = config.conditioning_embedding_channels is not None
    example = _flux_example(config) | {"controlnet_cond": torch.zeros(1, 3, side, side) if is_seen else latents}
    if config.num_mode is not None:
        places = torch.zeros(len(example["cosines"]) + 1, config.attention_head_dim)  # the kind is a token, too
        example |= {"cosines": places, "sines": places, "kinds": torch.eye(1, config.num_mode)}
    return example | _guidance(config)


def _sd3_net_example(config: Any) -> dict[str, torch.Tensor]:
    picture = torch.zeros(1, config.in_channels, SIDE, SIDE)
    tokens = torch.zeros(1, (SIDE // 2) ** 2, config.num_attention_heads * config.attention_head_dim)
    words = _transformer_example(config) if config.joint_attention_dim else {}
    return {
        "hidden_states": picture if config.use_pos_embed else tokens,
        "pooled_projections": torch.zeros(1, config.pooled_projection_dim),
        "timestep": torch.ones(1, WAVES),
        "controlnet_cond": picture,
        **{name: each for name, each in words.items() if name == "encoder_hidden_states"},
    }


def _added(config: Any) -> dict[str, torch.Tensor]:
    """What Stable Diffusion XL conditions on besides the prompt: pooled embeds, and waves of sizes and crops."""
    if config.addition_embed_type != "text_time":
        return {}
    numbers = 5 if config.cross_attention_dim == REFINER_WIDTH else 6
    waves = numbers * config.addition_time_embed_dim
    pooled = config.projection_class_embeddings_input_dim - waves
    return {"text_embeds": torch.zeros(1, pooled), "time_ids": torch.zeros(1, waves)}


def told_guidance(config: Any) -> dict[str, torch.Tensor]:
    """The guidance scale as waves, for a consistency model that was distilled to be told it (Luo et al. 2023)."""
    return {"timestep_cond": torch.zeros(1, config.time_cond_proj_dim)} if config.time_cond_proj_dim else {}


def from_adapters(config: Any) -> dict[str, torch.Tensor]:
    """Zeros in the place of everything that adapters add to a U-Net of this configuration, by its inputs' names."""
    return _residuals(config) | _features(config)


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


def _features(config: Any) -> dict[str, torch.Tensor]:
    """What is added at the end of each block, before it shrinks where it attends to the prompt, and to the middle."""
    widths, last = config.block_out_channels, len(config.block_out_channels) - 1
    shrinks = [not kind.startswith("CrossAttn") for kind in config.down_block_types]
    sides = [SIDE >> min(level + before, last) for level, before in enumerate(shrinks)]
    shapes = [*zip(widths, sides, strict=True), (widths[-1], SIDE >> last)]
    return {f"{FEATURE}{place}": torch.zeros(1, width, side, side) for place, (width, side) in enumerate(shapes)}


def _converted(module: torch.nn.Module, example: dict[str, torch.Tensor]) -> openvino.Model:
    """The graph with the inputs named as in `example`, which is in the order of the module's arguments."""
    graph = openvino.convert_model(module.eval(), example_input=tuple(example.values()))
    for each, name in zip(graph.inputs, example, strict=True):
        each.get_tensor().set_names({name})
    return graph
