"""A Union ControlNet as one graph for any number of control images: what diffusers does one by one, all at once."""

from typing import Any

import torch


class UnionNet(torch.nn.Module):
    """diffusers' ControlNetUnionModel, its control images, their kinds and their weights as tensors."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        controlnet_cond: torch.Tensor,
        kinds: torch.Tensor,
        weights: torch.Tensor,
        text_embeds: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """The residuals for control images [1, k, 3, 8h, 8w], each with a 1 in a row of `kinds` [k, types].

        The timestep and the sizes come as waves [1, d] and [1, e].
        `weights` [k, 1] weigh the images against one another; those of one alone are outside.
        """
        net = self.net
        emb = self._times(timestep, kinds, text_embeds, time_ids)
        hidden = net.conv_in(sample)
        shapes = net.controlnet_cond_embedding(controlnet_cond[0])
        tokens = (shapes.mean(dim=(2, 3)) + kinds @ net.task_embedding) * weights
        mixed = torch.cat((tokens, hidden.mean(dim=(2, 3))))[None]
        for layer in net.transformer_layes:
            mixed = layer(mixed)
        strength = net.spatial_ch_projs(mixed[0, :-1])
        every = (shapes + strength[..., None, None]) * weights[..., None, None]
        hidden = hidden + every.sum(dim=0, keepdim=True)
        seen = (hidden,)
        for block in net.down_blocks:
            words = {"encoder_hidden_states": encoder_hidden_states} if hasattr(block, "attentions") else {}
            hidden, more = block(hidden_states=hidden, temb=emb, **words)
            seen += more
        hidden = net.mid_block(hidden, emb, encoder_hidden_states=encoder_hidden_states)
        steps = [block(each) for block, each in zip(net.controlnet_down_blocks, seen, strict=True)]
        return (*steps, net.controlnet_mid_block(hidden))

    def _times(
        self, timestep: torch.Tensor, kinds: torch.Tensor, text_embeds: torch.Tensor, time_ids: torch.Tensor
    ) -> torch.Tensor:
        """The embedding of the timestep, of all kinds together, and of what XL conditions on."""
        net = self.net
        together = net.control_type_proj(kinds.amax(dim=0)).reshape(1, -1)
        return (
            net.time_embedding(timestep)
            + net.control_add_embedding(together)
            + net.add_embedding(torch.cat((text_embeds, time_ids), dim=-1))
        )
