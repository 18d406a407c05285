"""ControlNets of transformers, as they are traced, and the shells around their graphs."""

from typing import Any

import numpy as np
import torch
from diffusers import FluxControlNetModel, SD3ControlNetModel

from engine.backends.openvino.batches import array, one_by_one
from engine.backends.openvino.graphs import Graph
from engine.components import original

THOUSANDTHS = 1000
"""FLUX.1's transformer and its nets multiply a timestep and a guidance by so much before they make waves of them."""
_CPU = torch.device("cpu")


class Given(torch.nn.Module):
    """In the place of what is made on the host: gives what it was told last."""

    now: Any

    def forward(self, _: torch.Tensor) -> Any:
        """What it was told."""
        return self.now


class FluxNet(torch.nn.Module):
    """One of FLUX.1's. As its transformer does it takes waves, and the cosines and sines of all tokens' places.

    Behind its other inputs come the kind of control image, a 1 in a row [1, kinds] for a Union net, and the guidance as
    waves for one that takes it. Gives what is added behind the transformer's blocks, and then behind its single ones.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        net.pos_embed = self.places = Given()
        net.time_text_embed.time_proj = torch.nn.Identity()
        self.kinds = net.controlnet_mode_embedder if net.union else None
        if net.union:
            net.controlnet_mode_embedder = self.kind = Given()

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *more: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        self.places.now = (cosines, sines)
        if self.kinds is not None:
            self.kind.now = (more[0] @ self.kinds.weight)[:, None]
        guidance = more[self.kinds is not None :]
        none = torch.zeros(0, 3)
        double, single = self.net(
            hidden_states,
            controlnet_cond,
            controlnet_mode=none,
            encoder_hidden_states=encoder_hidden_states,
            pooled_projections=pooled_projections,
            timestep=timestep / THOUSANDTHS,
            img_ids=none,
            txt_ids=none,
            guidance=guidance[0] / THOUSANDTHS if guidance else None,
            return_dict=False,
        )
        return (*(double or ()), *(single or ()))


class Sd3Net(torch.nn.Module):
    """One of Stable Diffusion 3's. It takes the timestep as waves, and last the prompt, if it reads it.

    One without places of its own takes tokens [1, n, d] in the place of latents.
    """

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        net.time_text_embed.time_proj = torch.nn.Identity()

    def forward(
        self,
        hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *words: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        (found,) = self.net(
            hidden_states,
            controlnet_cond,
            encoder_hidden_states=words[0] if words else None,
            pooled_projections=pooled_projections,
            timestep=timestep,
            return_dict=False,
        )
        return tuple(found)


class FluxNetShell(FluxControlNetModel):
    """What steers FLUX.1's denoiser along a control image."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *,
        controlnet_mode: torch.Tensor,
        conditioning_scale: float,
        encoder_hidden_states: torch.Tensor,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        img_ids: torch.Tensor,
        txt_ids: torch.Tensor,
        guidance: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[list[torch.Tensor] | None, list[torch.Tensor] | None]:
        """What is added behind the denoiser's blocks [b, n, d] and its single blocks, for packed latents [b, n, c].

        `controlnet_cond` are packed latents, too, or pixels; `controlnet_mode` [1, 1] is the place of a kind.
        """
        given = {
            "hidden_states": hidden_states,
            "encoder_hidden_states": encoder_hidden_states,
            "pooled_projections": pooled_projections,
            "timestep": self.time_text_embed.time_proj(timestep * THOUSANDTHS),
            "controlnet_cond": controlnet_cond,
        }
        shared: dict[str, np.ndarray] = {}
        if self.union:
            shared["kinds"] = np.eye(self.config["num_mode"], dtype=np.float32)[controlnet_mode[:1, 0].numpy()]
            txt_ids = torch.cat((txt_ids[:1], txt_ids))
        if guidance is not None:
            given["guidance"] = self.time_text_embed.time_proj(guidance * THOUSANDTHS)
        shared["cosines"], shared["sines"] = map(array, self.pos_embed(torch.cat((txt_ids, img_ids))))
        found = [each * conditioning_scale for each in one_by_one(self.graph, given, **shared)]
        blocks: int = self.config["num_layers"]
        return found[:blocks] or None, found[blocks:] or None


class Sd3NetShell(SD3ControlNetModel):
    """What steers Stable Diffusion 3's denoiser along a control image."""

    graph: Graph
    device = _CPU  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    dtype = torch.float32  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        *,
        conditioning_scale: float,
        pooled_projections: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        **_: Any,
    ) -> tuple[list[torch.Tensor]]:
        """What is added behind the denoiser's blocks [b, n, d], for latents [b, c, h, w] and a control image's."""
        places: Any = None if self.config["use_pos_embed"] else self.pos_embed
        given = {
            "hidden_states": hidden_states if places is None else places(hidden_states),
            "pooled_projections": pooled_projections,
            "timestep": self.time_text_embed.time_proj(timestep),
            "controlnet_cond": controlnet_cond,
        }
        if encoder_hidden_states is not None:
            given["encoder_hidden_states"] = encoder_hidden_states
        return ([each * conditioning_scale for each in one_by_one(self.graph, given)],)

    def _get_pos_embed_from_transformer(self, transformer: Any) -> Any:
        """The denoiser's own, as its file has it, for its shell has no weights."""
        places = transformer.pos_embed
        if places.proj.weight.is_meta:
            state = {name: original(transformer.component, f"pos_embed.{name}") for name in places.state_dict()}
            places.load_state_dict(state, assign=True)
        return places
