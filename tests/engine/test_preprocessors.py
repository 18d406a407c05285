"""Control images: what is found is where it is."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.errors import BadInput
from engine.tasks.preprocessors import PREPROCESSORS, control_image

LINES = ("canny", "lines", "soft edge", "line art", "scribble")


def _square() -> Image.Image:
    image = Image.new("RGB", (128, 128), (230, 230, 230))
    ImageDraw.Draw(image).rectangle((32, 40, 95, 100), fill=(200, 30, 30), outline=(0, 0, 0), width=3)
    return image


@pytest.mark.parametrize("kind", PREPROCESSORS)
@pytest.mark.parametrize("size", [(128, 96), (8, 8), (1000, 64), (17, 33)])
def test_every_kind_gives_a_picture_of_the_size(kind: str, size: tuple[int, int]) -> None:
    for source in (_square(), Image.new("RGB", (9, 200), "black"), Image.new("L", (1, 1))):
        made = control_image(kind, source, size)
        assert (made.mode, made.size) == ("RGB", size)


@pytest.mark.parametrize("kind", LINES)
def test_lines_are_white_where_the_square_s_sides_are(kind: str) -> None:
    found = np.asarray(control_image(kind, _square(), (128, 128)))[..., 0] > 100
    assert found.any()
    rows, columns = np.nonzero(found)
    near = np.minimum.reduce([abs(columns - 33), abs(columns - 94), abs(rows - 41), abs(rows - 99)])
    assert (near <= 5).mean() > 0.95
    for column in (33, 94):
        assert found[50:90, column - 5 : column + 6].any(axis=1).mean() > 0.8, "the upright sides are found"


@pytest.mark.parametrize("kind", LINES)
def test_where_nothing_is_nothing_is_found(kind: str) -> None:
    assert not np.asarray(control_image(kind, Image.new("RGB", (64, 64), (90, 120, 60)), (64, 64))).any()


def test_straight_lines_leave_curves_out() -> None:
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    draw.line((20, 230, 230, 200), fill="black", width=3)
    draw.ellipse((90, 40, 130, 80), outline="black", width=2)
    found = np.asarray(control_image("lines", image, (256, 256)))[..., 0] > 100
    assert found[190:240].sum() > 150
    assert found[30:90].sum() < found[190:240].sum() / 5


def test_none_is_the_picture_and_invert_its_negative() -> None:
    square = _square()
    assert control_image("none", square, (128, 128)).tobytes() == square.tobytes()
    assert np.array_equal(255 - np.asarray(square), np.asarray(control_image("invert", square, (128, 128))))


def test_a_palette_has_one_colour_a_block() -> None:
    made = np.asarray(control_image("palette", _square(), (128, 128)))
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= 4


def test_a_slope_leans_as_it_falls() -> None:
    """Near is bright: a plane that comes nearer to the right faces left, and a flat one faces the viewer."""
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (64, 1)))
    leaning, flat = (np.asarray(control_image("normal from depth", each, (64, 64)))[32, 32].astype(int)
                     for each in (ramp, Image.new("L", (64, 64), 128)))  # fmt: skip
    assert leaning[0] < 120
    assert abs(leaning[1] - 128) <= 2
    assert abs(flat[0] - 128) <= 1
    assert flat[2] >= 254


def test_the_edges_are_cut_to_the_shape() -> None:
    wide = Image.new("RGB", (200, 100), "red")
    wide.paste((0, 0, 255), (50, 0, 150, 100))
    assert np.asarray(control_image("none", wide, (64, 64)))[32].mean(0).round().tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("kind", "cause"), [("depth", "needs a model"), ("cany", "no preprocessor “cany”. Did you mean “canny”")]
)
def test_what_cannot_be_done_is_said(kind: str, cause: str) -> None:
    with pytest.raises(BadInput, match=cause):
        control_image(kind, _square(), (64, 64))
