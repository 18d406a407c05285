"""Pictures enlarged in tiles: without seams, by any factor, within memory, and called off."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.errors import BadInput, Cancelled, EaselError, OutOfMemory
from engine.tasks.draw import Prepared, draw
from engine.tasks.stages import Enlarging
from engine.tasks.upscale import Tiling, lanczos, upscale
from engine.upscalers import compact, rrdb, span
from engine.upscalers.network import Network
from engine.upscalers.upscaler import Upscaler
from tests.data.upscalers import rule


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, channels), np.uint8)


def silent(done: int, of: int) -> None:
    """Told, and says nothing."""


def ready(network: Network, multiple: int = 1) -> Upscaler:
    network.load_state_dict(rule.tensors({name: each.shape for name, each in network.state_dict().items()}))

    @torch.no_grad()
    def run(pixels: Tensor) -> Tensor:
        return network.eval()(pixels)

    return Upscaler("tiny", "family", network.scale, run, multiple=multiple)


def tiny(scale: int = 2, convs: int = 1, multiple: int = 1) -> Upscaler:
    """A network that looks `convs` + 2 pixels around each."""
    return ready(compact.SRVGGNetCompact(compact.Config(channels=3, width=6, convs=convs, scale=scale)), multiple)


def nearest(scale: int, seen: list[tuple[int, ...]] | None = None) -> Upscaler:
    """Repeats pixels, so that where each one came from can be told; notes the sizes it was given."""

    def run(pixels: Tensor) -> Tensor:
        if seen is not None:
            seen.append(tuple(pixels.shape[2:]))
        return pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3)

    return Upscaler("nearest", "family", scale, run)


WHOLE = Tiling(side=4096)


@pytest.mark.parametrize("size", [(70, 150), (64, 64), (65, 200), (129, 33)])
@pytest.mark.parametrize(("scale", "multiple"), [(2, 1), (3, 4), (1, 8)])
def test_no_trace_of_the_tiles(size: tuple[int, int], scale: int, multiple: int) -> None:
    """Of a network that looks no further than what is thrown away: the same picture, but for what rounding does."""
    pixels, upscaler = picture(*size), tiny(scale, multiple=multiple)
    tiled = upscale(pixels, scale, upscaler, silent, Tiling(side=64, overlap=32)).pixels
    whole = upscale(pixels, scale, upscaler, silent, WHOLE).pixels
    assert tiled.shape == (size[0] * scale, size[1] * scale, 3)
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 1e-3


FURTHER = [
    lambda: span.SPAN(span.Config(channels=3, width=6, scale=2, centred=False)),
    lambda: rrdb.RRDBNet(rrdb.Config(3, unshuffle=1, width=6, growth=4, blocks=1, doublings=1, plus=False)),
]
"""They look 22 and 19 pixels around: more than is thrown away, and less than is shared."""


@pytest.mark.parametrize("network", FURTHER)
def test_a_network_that_looks_less_far_than_the_overlap_leaves_no_seam(network: Callable[[], Network]) -> None:
    """Its tiles differ a little, and the ramp hides that."""
    upscaler = ready(network())
    shades = np.tile(np.linspace(60, 200, 160).astype(np.uint8)[:, None, None], (1, 96, 3))
    tiled = upscale(shades, 2, upscaler, silent, Tiling(side=64, overlap=32)).pixels
    whole = upscale(shades, 2, upscaler, silent, WHOLE).pixels
    assert tiled.std() > 1
    assert np.abs(tiled.astype(int) - whole).max() <= 2


@pytest.mark.parametrize("network", FURTHER)
def test_a_step_at_every_tile_would_be_seen(network: Callable[[], Network]) -> None:
    """The measure of the test above is no empty one: without anything shared, the same network leaves steps."""
    upscaler = ready(network())
    shades = np.tile(np.linspace(60, 200, 160).astype(np.uint8)[:, None, None], (1, 96, 3))
    tiled = upscale(shades, 2, upscaler, silent, Tiling(side=64, overlap=0)).pixels
    whole = upscale(shades, 2, upscaler, silent, WHOLE).pixels
    assert np.abs(tiled.astype(int) - whole).max() > 2


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2, 7), (63, 64), (97, 131), (256, 257)])
@pytest.mark.parametrize("tiling", [Tiling(64, 32), Tiling(96, 8), Tiling(64, 0), Tiling()])
def test_every_pixel_stays_in_its_place(size: tuple[int, int], tiling: Tiling) -> None:
    pixels = picture(*size)
    assert np.array_equal(upscale(pixels, 3, nearest(3), silent, tiling).pixels, pixels.repeat(3, 0).repeat(3, 1))


@pytest.mark.parametrize("fixed", [(64, 64), (24, 40), (7, 5)])
def test_networks_of_one_size(fixed: tuple[int, int]) -> None:
    sizes: list[tuple[int, ...]] = []
    pixels = picture(50, 90)
    made = upscale(pixels, 2, replace(nearest(2, sizes), size=fixed), silent).pixels
    assert set(sizes) == {fixed}
    assert np.array_equal(made, pixels.repeat(2, 0).repeat(2, 1))


def test_all_tiles_of_a_picture_have_one_size_that_wastes_little() -> None:
    sizes: list[tuple[int, ...]] = []
    upscale(picture(512, 300), 1, replace(nearest(1, sizes), multiple=8), silent)
    assert len(set(sizes)) == 1
    height, width = sizes[0]
    assert height % 8 == width % 8 == 0
    assert max(height, width) <= 256
    assert height * width * len(sizes) < 1.6 * 512 * 300


@pytest.mark.parametrize("factor", [0.5, 1, 1.5, 2, 2.37, 4, 6])
def test_any_factor(factor: float) -> None:
    pixels = picture(40, 50)
    made = upscale(pixels, factor, nearest(4), silent).pixels
    size = (round(50 * factor), round(40 * factor))
    assert made.shape == (size[1], size[0], 3)
    assert upscale(pixels, factor, nearest(4), silent, Tiling(32, 8)).pixels.tobytes() == made.tobytes()
    repeated = Image.fromarray(pixels.repeat(4, 0).repeat(4, 1))
    assert np.array_equal(made, np.asarray(repeated.resize(size, Image.Resampling.LANCZOS)))


@pytest.mark.parametrize("upscaler", [None, nearest(2)])
def test_alpha_is_enlarged_by_lanczos_and_leaves_the_networks_colours_alone(upscaler: Upscaler | None) -> None:
    pixels = picture(30, 20, 4)
    made = upscale(pixels, 2, upscaler, silent).pixels
    assert made.shape == (60, 40, 4)
    assert np.array_equal(made[..., 3], lanczos(pixels[..., 3], (40, 60)))
    if upscaler:
        assert np.array_equal(made[..., :3], upscale(pixels[..., :3], 2, upscaler, silent).pixels)


def test_lanczos_alone_is_pillows() -> None:
    pixels = picture(17, 23)
    made = upscale(pixels, 2.5, None, silent).pixels
    assert np.array_equal(made, np.asarray(Image.fromarray(pixels).resize((58, 42), Image.Resampling.LANCZOS)))


def test_progress_counts_to_its_end_and_cancels() -> None:
    told: list[tuple[int, int]] = []
    upscale(picture(100, 100), 2, nearest(2), lambda done, of: told.append((done, of)), Tiling(64, 16))
    assert told == [(done, 4) for done in range(1, 5)]

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        upscale(picture(100, 100), 2, nearest(2), stop, Tiling(64, 16))


def _torch_cpu() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def _torch_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def _python() -> None:
    raise MemoryError


def _openvino() -> None:
    raise RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223:\nstd::bad_alloc")


@pytest.mark.parametrize("fail", [_torch_cpu, _torch_cuda, _python, _openvino])
def test_tiles_are_halved_until_they_fit(fail) -> None:
    sizes: list[tuple[int, ...]] = []
    pixels, inner = picture(300, 300), nearest(2, sizes)

    def run(given: Tensor) -> Tensor:
        if given.shape[2] > 100:
            fail()
        return inner.run(given)

    made = upscale(pixels, 2, replace(inner, run=run), silent)
    assert max(sizes)[0] <= 64
    assert made.notes == ("Memory ran short, so the picture was enlarged in tiles of 64 pixels.",)
    assert np.array_equal(made.pixels, pixels.repeat(2, 0).repeat(2, 1))

    stage = Enlarging(replace(inner, run=run), (450, 450), 4)
    drawn = draw(Prepared((stage,), Image.fromarray(pixels), lambda image: image, None, ()), lambda *_: None)
    assert drawn.notes == made.notes

    sides: list[int] = []

    def never(given: Tensor) -> Tensor:
        sides.append(given.shape[2])
        fail()
        return given

    with pytest.raises(OutOfMemory, match="too little memory for the upscaler “nearest”"):
        upscale(pixels, 2, replace(inner, run=never), silent)
    assert len(sides) == 3


def test_other_failures_are_not_taken_for_memory() -> None:
    def run(given: Tensor) -> Tensor:
        raise RuntimeError("The size of tensor a must match")

    with pytest.raises(RuntimeError, match="size of tensor"):
        upscale(picture(10, 10), 2, replace(nearest(2), run=run), silent)


def test_no_numbers_no_picture() -> None:
    upscaler = replace(nearest(2), run=lambda pixels: pixels.repeat(1, 1, 2, 2) / 0)
    with pytest.raises(EaselError, match="“nearest” gave no picture: its numbers overflowed"):
        upscale(np.zeros((10, 10, 3), np.uint8), 2, upscaler, silent)


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf"), 1e300, 4000])
def test_factors_that_make_too_much_or_nothing(factor: float) -> None:
    with pytest.raises(BadInput, match="cannot be enlarged"):
        upscale(picture(50, 50), factor, None, silent)
