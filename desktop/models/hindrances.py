"""What keeps folders of the library from being looked through, a notice for each."""

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from desktop.theme import LARGE, SMALL
from desktop.widgets.notice import Notice
from desktop.widgets.pieces import column
from desktop.words import tr
from engine.messages import Hindrance

_MOST = 3
"""Notices at once; a drive that is damaged has thousands of folders."""


class Hindrances(QWidget):
    """A notice that the person closes stays closed until something else is in the way of its folder."""

    def __init__(self) -> None:
        super().__init__()
        self._column = column(self, SMALL, (LARGE, 0, LARGE, SMALL))
        self._closed: set[Hindrance] = set()
        self.hide()

    def show_now(self, hindrances: Sequence[Hindrance]) -> None:
        """Show these, the first ones in full."""
        self._closed.intersection_update(hindrances)
        left = [each for each in hindrances if each not in self._closed]
        while item := self._column.takeAt(0):
            if widget := item.widget():
                widget.hide()
                widget.deleteLater()
        for place, each in enumerate(left[:_MOST]):
            more = len(left) - _MOST if place == _MOST - 1 else 0
            notice = Notice(self)
            self._column.addWidget(notice)
            advice = tr(each.advice)
            if more > 0:
                advice = f"{advice} {tr('It is so with {count} more.').format(count=more)}"
            notice.say(tr(each.cause), advice)
            notice.dismissed.connect(lambda each=each: self._close(each, hindrances))
        self.setVisible(bool(left))

    def _close(self, one: Hindrance, hindrances: Sequence[Hindrance]) -> None:
        self._closed.add(one)
        self.show_now(hindrances)
