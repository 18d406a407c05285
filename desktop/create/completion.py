"""Completes the names of LoRAs and embeddings while a prompt is typed."""

import re
from collections.abc import Callable, Sequence

from PySide6.QtCore import QStringListModel, Qt
from PySide6.QtWidgets import QCompleter, QListView, QPlainTextEdit

from engine.prompt import escaped

_CALL = re.compile(r"<lora:([^<>:]*)$")
_WORD = re.compile(r"(?:^|[\s,()\[\]{}|])([^\s,()\[\]{}|<>:]{2,})$")
"""What may become the name of an embedding: it stands among the words."""
_ANSWERS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Escape)
_WIDTH = 280


class Completion(QCompleter):
    """A list under the cursor. `names_of` is asked for what there is of a kind; the same list as long as it is so."""

    def __init__(self, edit: QPlainTextEdit) -> None:
        super().__init__(edit)
        self.names_of: Callable[[str], Sequence[str]] = lambda _: ()
        self._edit, self._sort = edit, ""
        self._names: Sequence[str] = ()
        self._list = QStringListModel(self)
        self.setModel(self._list)
        self.setWidget(edit)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._view = QListView()
        self._view.setObjectName("completion")
        self._view.setUniformItemSizes(True)
        self.setPopup(self._view)
        self.activated.connect(self._put)

    def answers(self, key: int) -> bool:
        """Whether a key is for the list, and not for the text."""
        if not self._view.isVisible() or key not in _ANSWERS:
            return False
        return self._view.currentIndex().isValid() or key == Qt.Key.Key_Escape

    def look(self) -> None:
        """Offer what the word before the cursor may become."""
        before = self._before()
        call = _CALL.search(before)
        found = call or _WORD.search(before)
        self._sort = "lora" if call else "embedding"
        names = self.names_of(self._sort) if found else ()
        if not found or not names:
            self._view.hide()
            return
        if names is not self._names:
            self._names = names
            self._list.setStringList(names)
        self.setFilterMode(Qt.MatchFlag.MatchContains if call else Qt.MatchFlag.MatchStartsWith)
        self.setCompletionPrefix(found[1])
        if self.completionCount() == 0 or names == [found[1]]:
            self._view.hide()
            return
        place = self._edit.cursorRect().translated(self._edit.viewport().pos())
        place.setWidth(_WIDTH)
        self.complete(place)
        # A call is for the list; a word may be one as it is, and then Enter is for the text.
        first = self.completionModel().index(0, 0)
        self._view.setCurrentIndex(first if call else first.parent())

    def _before(self) -> str:
        cursor = self._edit.textCursor()
        units = cursor.block().text().encode("utf-16-le")[: 2 * cursor.positionInBlock()]  # as Qt counts letters
        return units.decode("utf-16-le", "replace")

    def _put(self, name: str) -> None:
        cursor = self._edit.textCursor()
        typed = len(self.completionPrefix().encode("utf-16-le")) // 2
        cursor.movePosition(cursor.MoveOperation.Left, cursor.MoveMode.KeepAnchor, typed)
        behind = cursor.block().text().encode("utf-16-le")[2 * (cursor.positionInBlock() + typed) :].decode("utf-16-le")
        if self._sort == "lora":
            name = escaped(name) if re.match(r"[^<]*>", behind) else f"{escaped(name)}:1>"
        cursor.insertText(name)
        self._edit.setTextCursor(cursor)
