"""Drawing a part of a picture: the box that is seen, and the way back."""

import numpy as np
import pytest
from PIL import Image

from engine.tasks.masks import part


def _noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def _mask(size: tuple[int, int], *boxes: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    for box in boxes:
        mask.paste(255, box)
    return mask


@pytest.mark.parametrize("padding", [None, 0, 16])
@pytest.mark.parametrize("feather", [0, 6])
@pytest.mark.parametrize("box", [(50, 40, 90, 70), (0, 0, 10, 10), (199, 119, 200, 120), (0, 30, 200, 50)])
def test_outside_the_mask_every_pixel_stays(padding: int | None, feather: int, box: tuple[int, int, int, int]) -> None:
    source, mask = _noise((200, 120)), _mask((200, 120), box)
    some = part(source, mask, (64, 64), padding=padding, feather=feather)
    assert some.source.size == some.mask.size == (64, 64)
    made = np.asarray(some.back(Image.new("RGB", (64, 64), "red")))
    outside = np.asarray(mask) == 0
    assert np.array_equal(made[outside], np.asarray(source)[outside])
    if not feather:
        assert (made[~outside] == (255, 0, 0)).all()


def test_the_new_part_fades_in_inside_the_mask() -> None:
    source, mask = Image.new("RGB", (100, 100)), _mask((100, 100), (20, 20, 80, 80))
    made = np.asarray(part(source, mask, (64, 64), padding=None, feather=10).back(Image.new("RGB", (64, 64), "white")))
    row = made[50, :, 0].astype(int)
    assert row[19] == 0
    assert (np.diff(row[20:30]) > 0).all()
    assert row[30] == row[50] == 255
    assert (row == row[::-1]).all()


def test_a_full_mask_is_all_new_to_the_edges() -> None:
    source = _noise((50, 40))
    some = part(source, Image.new("L", (50, 40), 255), (64, 64), padding=None, feather=8)
    assert (np.asarray(some.back(Image.new("RGB", (64, 64), "blue"))) == (0, 0, 255)).all()


@pytest.mark.parametrize(
    ("box", "size", "padding", "expected"),
    [
        ((100, 100, 140, 120), (64, 64), 10, (90, 80, 150, 140)),  # as wide as the mask, and square
        ((100, 100, 120, 160), (128, 64), 0, (50, 100, 170, 160)),
        ((0, 0, 20, 20), (64, 64), 30, (0, 0, 80, 80)),  # moved into the picture
        ((0, 100, 400, 110), (64, 64), 0, (0, 0, 400, 300)),  # no square of 400 is in it
    ],
)
def test_only_what_is_masked_is_seen_in_the_shape_that_is_drawn(
    box: tuple[int, int, int, int], size: tuple[int, int], padding: int, expected: tuple[int, int, int, int]
) -> None:
    assert part(_noise((400, 300)), _mask((400, 300), box), size, padding=padding, feather=0).box == expected


def test_what_is_drawn_comes_back_to_its_place() -> None:
    """A picture that the model leaves as it is, enlarged and shrunk again, is nearly the source."""
    smooth = _noise((20, 15)).resize((400, 300), Image.Resampling.BICUBIC)
    some = part(smooth, _mask((400, 300), (100, 100, 180, 160)), (256, 256), padding=16, feather=4)
    made = np.asarray(some.back(some.source), np.int16)
    assert np.abs(made - np.asarray(smooth, np.int16)).max() <= 3
