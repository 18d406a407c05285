"""Control images: what is found is where it is."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from engine.errors import BadInput
from engine.tasks.preprocessors import WITHOUT_MODEL, control_image

READY = list(WITHOUT_MODEL)
LINES = ("canny", "lines", "soft edge", "line art", "scribble")


def _square() -> Image.Image:
    image = Image.new("RGB", (128, 128), (230, 230, 230))
    ImageDraw.Draw(image).rectangle((32, 40, 95, 100), fill=(200, 30, 30), outline=(0, 0, 0), width=3)
    return image


@pytest.mark.parametrize("kind", READY)
@pytest.mark.parametrize("size", [(128, 96), (8, 8), (1000, 64), (17, 33), (1, 1), (3, 5), (7, 1000)])
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


def _normal(depth: Image.Image, side: int = 64) -> list[int]:
    return (
        np.asarray(control_image("normal from depth", depth, (side, side)))[side // 2, side // 2].astype(int).tolist()
    )


def _ramp(side: int, turns: int) -> Image.Image:
    """A plane that comes nearer to the right, turned counter-clockwise so many quarters."""
    return Image.fromarray(np.rot90(np.tile(np.linspace(0, 255, side, dtype=np.uint8), (side, 1)), turns).copy())


def test_normals_are_blue_in_front_red_on_the_left_and_green_on_top() -> None:
    """As ControlNet 1.1's README says of its normal maps. Near is bright: what comes nearer to the right faces left."""
    flat, left, top, right, bottom = (
        _normal(each) for each in (Image.new("L", (64, 64), 128), *(_ramp(64, turns) for turns in (0, 3, 2, 1)))
    )
    assert flat == [128, 128, 255]
    assert left[0] > 150
    assert abs(left[1] - 128) <= 2
    assert top[1] > 150
    assert abs(top[0] - 128) <= 2
    assert right[0] < 105
    assert bottom[1] < 105


def test_a_scene_has_the_same_normals_in_every_size() -> None:
    """Within what eight bits of depth leave: a step in a large picture is a stair."""
    assert np.abs(np.subtract(_normal(_ramp(64, 0)), _normal(_ramp(256, 0), 256))).max() <= 6


def test_lines_of_a_turned_rectangle_are_its_sides() -> None:
    image = Image.new("RGB", (256, 256), "white")
    corners = np.array([[60, 90], [190, 50], [215, 130], [85, 170]])
    ImageDraw.Draw(image).polygon([tuple(each) for each in corners.tolist()], fill=(60, 60, 60))
    rows, columns = np.nonzero(np.asarray(control_image("lines", image, (256, 256)))[..., 0] > 100)
    found = np.stack((columns, rows), 1)
    away = []
    for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
        along = (end - start) / np.linalg.norm(end - start)
        offset = found - start
        away.append(np.abs(offset[:, 0] * along[1] - offset[:, 1] * along[0]))
        on_it = away[-1] < 3
        assert np.ptp(offset[on_it] @ along) > 0.9 * np.linalg.norm(end - start), "nearly the whole side is drawn"
    assert np.min(away, axis=0).max() < 4, "and nothing else, but for the width of a line"


def test_an_outline_is_found_on_the_colour_it_outlines() -> None:
    """Dark blue on blue: the same in two of three channels."""
    image = Image.new("RGB", (128, 128), (30, 90, 210))
    ImageDraw.Draw(image).rectangle((32, 32, 96, 96), outline=(20, 30, 70), width=3)
    for kind in ("scribble", "line art"):
        assert (np.asarray(control_image(kind, image, (128, 128)))[40:90, 30:36, 0].max(axis=1) > 60).all(), kind


def test_the_edges_are_cut_to_the_shape() -> None:
    wide = Image.new("RGB", (200, 100), "red")
    wide.paste((0, 0, 255), (50, 0, 150, 100))
    assert np.asarray(control_image("none", wide, (64, 64)))[32].mean(0).round().tolist() == [0, 0, 255]


def test_a_kind_that_is_not_known_is_said() -> None:
    with pytest.raises(BadInput, match="no preprocessor “cany”. Did you mean “canny”"):
        control_image("cany", _square(), (64, 64))


@pytest.mark.parametrize(
    ("kind", "model", "instead"),
    [
        ("depth", "a depth model", "Depth Anything V2 Small, as a transformers folder), or give a finished depth map"),
        ("pose", "a pose model", "finished pose picture"),
        ("segmentation", "a segmentation model", "finished segmentation map"),
        ("hed", "an edge model", "finished edge map"),
    ],
)
def test_one_that_needs_a_model_says_which_and_what_else_would_do(kind: str, model: str, instead: str) -> None:
    with pytest.raises(BadInput) as refused:
        control_image(kind, _square(), (64, 64))
    assert refused.value.cause == f"The preprocessor “{kind}” needs {model}; the library has none."
    assert instead in refused.value.advice
    assert "choose “none”" in refused.value.advice
