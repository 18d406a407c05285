"""Drawing a part of a picture: the box that is seen, and the way back."""

import numpy as np
import pytest
from PIL import Image

from engine.errors import BadInput
from engine.tasks.masks import feathered, grown, outpainted, part, stitched


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


def test_the_smallest_mask_of_a_large_picture_is_still_drawn() -> None:
    some = part(_noise((900, 600)), _mask((900, 600), (450, 300, 451, 301)), (64, 64), padding=None, feather=0)
    assert np.count_nonzero(np.asarray(some.mask)) == 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_stitching_keeps_what_is_outside_and_mixes_what_is_between(kind: type[np.unsignedinteger]) -> None:
    top = np.iinfo(kind).max
    old, new = (np.random.default_rng(seed).integers(0, top, (20, 30, 3), kind, endpoint=True) for seed in (1, 2))
    share = np.zeros((20, 30), np.float32)
    share[:, 10:20], share[:, 20:] = 0.25, 1
    made = stitched(old, new, share)
    assert made.dtype == kind
    assert np.array_equal(made[:, :10], old[:, :10])
    assert np.array_equal(made[:, 20:], new[:, 20:])
    between = 0.75 * old[:, 10:20] + 0.25 * new[:, 10:20]
    assert np.abs(made[:, 10:20] - between).max() <= 0.51, "rounded once, in float32"


def test_a_grown_mask_has_every_pixel_that_is_near() -> None:
    mask = _mask((31, 21), (15, 10, 16, 11))
    rows, columns = np.indices((21, 31))
    for pixels in (0, 1, 5):
        near = (rows - 10) ** 2 + (columns - 15) ** 2 <= pixels**2
        assert np.array_equal(np.asarray(grown(mask, pixels)) == 255, near), pixels
    assert not np.asarray(grown(_mask((9, 9)), 100)).any(), "of nothing grows nothing"
    assert np.asarray(grown(Image.new("L", (9, 9), 255), 3)).all()


def test_a_feather_rises_from_the_edge_of_the_mask_and_not_from_that_of_the_picture() -> None:
    share = feathered(_mask((40, 9), (10, 0, 40, 9)), 5)
    assert share.dtype == np.float32
    expected = [0] * 10 + [0.2, 0.4, 0.6, 0.8] + [1] * 26
    assert np.allclose(share, np.tile(expected, (9, 1)), atol=1e-6)
    assert set(np.unique(feathered(_mask((40, 9), (10, 0, 40, 9)), 0))) == {0, 1}


@pytest.mark.parametrize("sides", [(16, 0, 0, 0), (0, 8, 24, 0), (8, 8, 8, 8), (0, 0, 0, 1), (300, 1, 0, 7)])
def test_a_picture_in_a_larger_frame_comes_back_untouched_but_for_the_overlap(sides: tuple[int, ...]) -> None:
    source = _noise((64, 48))
    left, top, right, bottom = sides
    frame = outpainted(source, left, top, right, bottom, overlap=10)
    width, height = 64 + left + right, 48 + top + bottom
    assert frame.source.size == frame.mask.size == (width, height)
    assert np.array_equal(np.asarray(frame.source)[top : top + 48, left : left + 64], np.asarray(source))
    whole = part(frame.source, frame.mask, (64, 64), padding=None, feather=frame.feather)
    made = np.asarray(whole.back(Image.new("RGB", (64, 64), "red")))
    inner = np.asarray(source)[10 * (top > 0) : 48 - 10 * (bottom > 0), 10 * (left > 0) : 64 - 10 * (right > 0)]
    at = (top + 10 * (top > 0), left + 10 * (left > 0))
    assert np.array_equal(made[at[0] : at[0] + inner.shape[0], at[1] : at[1] + inner.shape[1]], inner)
    is_new = np.ones((height, width), bool)
    is_new[top : top + 48, left : left + 64] = False
    assert (made[is_new] == (255, 0, 0)).all()


def test_the_new_part_begins_as_the_edge_it_goes_on_from() -> None:
    source = Image.new("RGB", (64, 64), (20, 60, 220))
    source.paste((230, 200, 30), (0, 0, 64, 32))
    made = np.asarray(outpainted(source, 0, 0, 32, 0).source, float)[:, 64:]
    assert np.abs(made[4:20].mean((0, 1)) - (230, 200, 30)).max() < 12, "noise is cut off at 0 and 255"
    assert np.abs(made[44:60].mean((0, 1)) - (20, 60, 220)).max() < 12
    assert made.std(axis=(0, 1)).min() > 5, "and is no even surface"
    assert np.array_equal(made, np.asarray(outpainted(source, 0, 0, 32, 0).source, float)[:, 64:])


def test_the_smallest_source_has_something_left_of_it() -> None:
    frame = outpainted(_noise((3, 2)), 8, 8, 8, 8)
    assert frame.feather == 0
    assert np.count_nonzero(np.asarray(frame.mask) == 0) == 6


@pytest.mark.parametrize("sides", [(0, 0, 0, 0), (-1, 5, 0, 0), (10**6, 0, 0, 0)])
def test_a_frame_that_cannot_be_is_refused(sides: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadInput):
        outpainted(_noise((100, 100)), *sides)
