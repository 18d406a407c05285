"""Requests become orders: one a picture, and for a grid a picture a cell and the sheet."""

import os
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import BadInput
from engine.messages import Axis, Draw, Generate, Lay
from engine.orders import orders
from engine.settings import GenerateSettings
from engine.tasks.grid import sheet
from engine.uses import RegionUse

STEPS = Axis(name="steps", values=(2, 4, 8))
GUIDANCE = Axis(name="guidance_scale", values=(1.0, 6.0))


def _of(*grid: Axis, **settings: object) -> list[Draw | Lay]:
    return list(orders(Generate(settings=GenerateSettings(model="tiny", **settings), grid=grid)))  # pyright: ignore[reportArgumentType]


@pytest.mark.usefixtures("tiny_model")
class TestOrders:
    def test_a_picture_each(self) -> None:
        made = _of(count=3, seed=5)
        assert [order.settings.seed for order in made] == [5, 6, 7]

    def test_a_grid_goes_row_by_row_with_one_seed(self) -> None:
        *cells, last = _of(STEPS, GUIDANCE)
        found = [(cell.settings.steps, cell.settings.guidance_scale) for cell in cells]
        assert found == [(2, 1), (4, 1), (8, 1), (2, 6), (4, 6), (8, 6)]
        assert len({cell.settings.seed for cell in cells}) == 1
        assert isinstance(last, Lay)
        assert last.columns == ("steps: 2", "steps: 4", "steps: 8")
        assert last.rows == ("guidance scale: 1.0", "guidance scale: 6.0")

    def test_seeds_may_be_what_it_goes_over(self) -> None:
        *cells, _ = _of(Axis(name="seed", values=(3, 9)))
        assert [cell.settings.seed for cell in cells] == [3, 9]

    @pytest.mark.parametrize(
        ("grid", "settings"),
        [
            ((Axis(name="nonsense", values=(1,)),), {}),
            ((Axis(name="steps", values=()),), {}),
            ((STEPS, GUIDANCE, STEPS), {}),
            ((STEPS, STEPS), {}),
            ((STEPS,), {"count": 2}),
            ((Axis(name="seed", values=tuple(range(101))),), {}),
            ((Axis(name="steps", values=("many",)),), {}),
            ((Axis(name="steps", values=(999,)),), {}),
        ],
    )
    def test_what_makes_no_grid_is_refused(self, grid: tuple[Axis, ...], settings: dict[str, object]) -> None:
        with pytest.raises(BadInput):
            _of(*grid, **settings)


@pytest.mark.skipif(os.name == "nt", reason="names of files are text there")
@pytest.mark.usefixtures("tiny_model")
def test_names_that_are_no_text_are_refused_before_anything_runs(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"a\xff")
    with pytest.raises(BadInput, match="not text"):
        orders(Generate(settings=GenerateSettings(model="tiny"), folder=str(folder)))
    region = RegionUse(mask=str(folder / "mask.png"), prompt="a cat")
    with pytest.raises(BadInput, match="not text"):
        _of(regions=(region,))


def test_a_sheet_has_every_picture_in_its_place(tmp_path: Path) -> None:
    colours = ["red", "lime", "blue", "white", "black", "yellow"]
    files = [tmp_path / f"{colour}.png" for colour in colours]
    for colour, file in zip(colours, files, strict=True):
        Image.new("RGB", (64, 32), colour).save(file)
    made = sheet(files, ("one", "a very long title that has no room", "three"), ("up", "down"))
    found = [made.getpixel((x, y)) for y in (60, 100) for x in (80, 152, 224)]
    wanted = [Image.new("RGB", (1, 1), colour).getpixel((0, 0)) for colour in colours]
    assert found == wanted


def test_a_sheet_of_large_pictures_is_kept_small(tmp_path: Path) -> None:
    Image.new("RGB", (2048, 2048)).save(tmp_path / "a.png")
    made = sheet([tmp_path / "a.png"] * 10, [str(place) for place in range(10)], [""])
    assert max(made.size) < 12_500
