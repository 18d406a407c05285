import pytest

from desktop.theme.colours import DARK, LIGHT, READ, Colours, contrast
from desktop.theme.icons import FOLDER, icon
from desktop.theme.sheet import sheet


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("pair", READ, ids=" on ".join)
def test_every_text_can_be_read(colours: Colours, pair: tuple[str, str]) -> None:
    assert contrast(*(getattr(colours, name) for name in pair)) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_ring_around_the_focus_can_be_seen(colours: Colours) -> None:
    for behind in (colours.card, colours.window, colours.stage, colours.field):
        assert contrast(colours.accent, behind) >= 3


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_sheet_leaves_nothing_open(colours: Colours) -> None:
    assert "$" not in sheet(colours)


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("*.svg")])
def test_every_icon_can_be_drawn(qapp: object, name: str) -> None:
    assert not icon(name, "#ff0000").pixmap(16, 16).toImage().allGray() or name.startswith("arrow")
