"""A denoiser in windows: what it predicts of latents that are larger than its window."""

import pytest
import torch
from diffusers import UNet2DConditionModel

from engine.tasks.windows import Windowed


class Seen(torch.nn.Module):
    """Predicts twice what it sees, and remembers the sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []
        self.config = {"in_channels": 4}

    def forward(self, sample: torch.Tensor, *_: object, return_dict: bool = True, **__: object) -> tuple[torch.Tensor]:
        assert not return_dict
        self.sizes.append(tuple(sample.shape[2:]))
        return (2 * sample,)


@pytest.mark.parametrize("size", [(8, 8), (24, 24), (40, 24), (24, 88), (64, 64), (32, 48)])
def test_windows_cover_everything_once(size: tuple[int, int]) -> None:
    """What a denoiser says of each latent by itself comes out as it would at once."""
    seen = Seen()
    windowed = Windowed(seen, 24, 8)
    latents = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(1))
    heard: list[tuple[int, int]] = []
    windowed.on_window = lambda done, of: heard.append((done, of))
    found = windowed(latents, 5, return_dict=False)[0]
    assert torch.allclose(found, 2 * latents, atol=1e-6)
    assert set(seen.sizes) == {(min(24, size[0]), min(24, size[1]))}
    assert heard == [(place, len(seen.sizes)) for place in range(1, len(seen.sizes) + 1)]
    assert windowed.windows(*size) == len(seen.sizes)


def test_neighbours_share_a_quarter_at_least() -> None:
    for length in range(24, 200, 8):
        starts = Windowed(Seen(), 24, 8)._starts(length)
        assert starts[0] == 0
        assert starts[-1] + 24 >= length
        assert all(0 < after - before <= 18 for before, after in zip(starts, starts[1:], strict=False))
        assert all(start % 8 == 0 for start in starts)


def test_it_is_the_denoiser_in_all_else() -> None:
    seen = Seen()
    assert Windowed(seen, 24, 8).config is seen.config
    with pytest.raises(AttributeError):
        _ = Windowed(seen, 24, 8).nothing_of_it


def test_one_window_is_the_denoiser_with_what_a_controlnet_adds() -> None:
    """And in several windows its residuals are cut as the latents are."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()
    sample, words = torch.randn(1, 4, 8, 12), torch.randn(1, 3, 8)
    shapes = [(8, 8, 12), (8, 8, 12), (8, 4, 6), (16, 4, 6)]
    added = {
        "down_block_additional_residuals": tuple(torch.randn(1, *shape) for shape in shapes),
        "mid_block_additional_residual": torch.randn(1, 16, 4, 6),
    }
    with torch.no_grad():
        whole = unet(sample, 3, words, return_dict=False, **added)[0]
        at_once = Windowed(unet, 12, 2)(sample, 3, words, return_dict=False, **added)[0]
        cut = Windowed(unet, 8, 2)(sample, 3, words, return_dict=False, **added)[0]
        part = {
            "down_block_additional_residuals": [
                each[..., : each.shape[-1] * 2 // 3] for each in added["down_block_additional_residuals"]
            ],
            "mid_block_additional_residual": added["mid_block_additional_residual"][..., :4],
        }
        left = unet(sample[..., :8], 3, words, return_dict=False, **part)[0]
    assert torch.allclose(at_once, whole, atol=1e-6)
    assert torch.allclose(cut[..., :4], left[..., :4], atol=1e-5)  # where the second window does not reach
