import pytest
from PySide6.QtCore import QPoint, QPointF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QWheelEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.widgets.framing import Framing, fitting
from desktop.widgets.picture_view import PictureView, smoothly


def test_a_fitted_picture_fills_the_shorter_side() -> None:
    framing = fitting((200, 100), (400, 400))
    assert framing.scale == 2
    assert framing.top_left((400, 400)) == (0, 100)


def test_the_point_under_the_pointer_stays() -> None:
    view, at = (400.0, 300.0), (50.0, 60.0)
    before = Framing(1.5, 100, 80)
    after = before.zoomed(2, at, view)
    left_a, top_a = before.top_left(view)
    left_b, top_b = after.top_left(view)
    assert (at[0] - left_a) / before.scale == pytest.approx((at[0] - left_b) / after.scale)
    assert (at[1] - top_a) / before.scale == pytest.approx((at[1] - top_b) / after.scale)


def test_the_picture_cannot_be_dragged_out_of_sight() -> None:
    far = Framing(4, 100, 100).moved(-10_000, 10_000).kept_inside((200, 200), (400, 400))
    assert far == Framing(4, 150, 50)


def image(side: int, colour: str = "red") -> QImage:
    made = QImage(side, side, QImage.Format.Format_RGB32)
    made.fill(QColor(colour))
    return made


@pytest.fixture
def view(qtbot: QtBot) -> PictureView:
    made = PictureView()
    qtbot.addWidget(made)
    made.resize(400, 400)
    made.show()
    made.show_image(image(128))
    return made


def wheel(view: PictureView, notches: int) -> None:
    at = QPointF(view.rect().center())
    turn = QWheelEvent(
        at, view.mapToGlobal(at), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(view, turn)


def test_a_small_picture_is_enlarged_to_fit(view: PictureView) -> None:
    shown = view.grab().toImage()
    assert shown.pixelColor(200, 20).name() == "#ff0000"
    assert view.is_fitted()


def test_keys_and_wheel_zoom_and_fit(qtbot: QtBot, view: PictureView) -> None:
    wheel(view, 2)
    assert not view.is_fitted()
    qtbot.keyClick(view, Qt.Key.Key_0)
    assert view.is_fitted()
    qtbot.keyClick(view, Qt.Key.Key_1)
    shown = view.grab().toImage()
    assert shown.pixelColor(200, 200).name() == "#ff0000"
    assert shown.pixelColor(130, 200).name() != "#ff0000"  # 128 pixels wide in the middle of 400
    wheel(view, -50)
    assert view._now().scale == 1  # no smaller than one pixel a pixel


def test_dragging_moves_a_zoomed_picture(qtbot: QtBot, view: PictureView) -> None:
    wheel(view, 5)
    before = view._now()
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    qtbot.mouseMove(view, QPoint(220, 230))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(220, 230))
    assert view._now().x < before.x
    assert view._now().y < before.y


def test_the_finished_picture_keeps_the_part_that_was_looked_at(view: PictureView) -> None:
    wheel(view, 5)
    before = view._now()
    view.show_image(image(256))
    assert view._now() == Framing(before.scale / 2, before.x * 2, before.y * 2)
    view.show_image(QImage(300, 100, QImage.Format.Format_RGB32))
    assert view.is_fitted()


def test_enlarging_keeps_the_size_asked_for() -> None:
    assert smoothly(image(100), QSize(431, 437)).size() == QSize(431, 437)
    assert smoothly(image(100), QSize(31, 37)).size() == QSize(31, 37)
