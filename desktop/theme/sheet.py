"""The style sheet: cards, quiet lines, one accent, and a ring around what has the focus."""

from string import Template

from desktop.theme.colours import Colours
from desktop.theme.icons import FOLDER

_SHEET = Template("""
* { outline: none; }
QMainWindow, QFrame#footer, QFrame#header { background: $window; }
QToolTip { background: $card; color: $text; border: 1px solid $line; padding: 4px 6px; }
QLabel { background: transparent; color: $text; }
QLabel#caption, QLabel#muted, QLabel#device { color: $muted; }
QLabel#heading, QLabel#seed, QLabel#status { color: $text; font-weight: 600; }
QLabel#title { font-size: 18px; font-weight: 600; }
QLabel#name { font-size: 16px; font-weight: 700; }

QFrame#header { border-bottom: 1px solid $line; }
QFrame#footer { border-top: 1px solid $line; }
QFrame#panel { background: $card; border: none; border-right: 1px solid $line; }
QFrame#details { background: $card; border: none; border-left: 1px solid $line; }
QFrame#stage { background: $stage; border: none; }
QWidget#inside, QScrollArea { background: transparent; border: none; }

QPlainTextEdit, QLineEdit, QAbstractSpinBox, QComboBox {
    background: $field; color: $text; border: 1px solid $line; border-radius: 8px; padding: 6px 8px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QComboBox, QLineEdit { min-height: 20px; }
QAbstractSpinBox { min-height: 20px; max-height: 20px; }
QPlainTextEdit:hover, QLineEdit:hover, QAbstractSpinBox:hover, QComboBox:hover { border-color: $muted; }
QPlainTextEdit:focus, QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus {
    border: 2px solid $accent; padding: 5px 7px;
}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {
    subcontrol-origin: border; width: 22px; border: none; background: transparent;
}
QAbstractSpinBox::up-button { subcontrol-position: top right; top: 2px; }
QAbstractSpinBox::down-button { subcontrol-position: bottom right; bottom: 2px; }
QAbstractSpinBox::up-arrow { image: url("$icons/arrow-up.svg"); width: 11px; height: 11px; }
QAbstractSpinBox::down-arrow { image: url("$icons/arrow-down.svg"); width: 11px; height: 11px; }
QComboBox::drop-down { border: none; width: 26px; }
QComboBox::down-arrow { image: url("$icons/arrow-down.svg"); width: 12px; height: 12px; }
QComboBox#entries { combobox-popup: 0; }
QComboBox QAbstractItemView {
    background: $card; color: $text; border: 1px solid $line; border-radius: 8px; padding: 4px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QComboBox QAbstractItemView::item { min-height: 26px; padding: 0 6px; }
QComboBox QAbstractItemView::item:disabled { color: $muted; }

QPushButton {
    background: $card; color: $text; border: 1px solid $line; border-radius: 8px; padding: 6px 14px;
}
QPushButton:hover { background: $hover; }
QPushButton:focus { border: 2px solid $accent; padding: 5px 13px; }
QPushButton:disabled { color: $muted; background: $window; }
QPushButton#quiet { background: transparent; padding: 4px 10px; }
QPushButton#quiet:hover { background: $hover; }
QPushButton#quiet:focus { padding: 3px 9px; }
QPushButton#chip { border-radius: 15px; padding: 6px 16px; min-height: 16px; }
QPushButton#chip:hover { border-color: $accent; color: $accent; }
QPushButton#chip:focus { padding: 5px 15px; }
QPushButton#generate {
    background: $accent; color: $on_accent; border: 2px solid $accent; border-radius: 10px;
    min-height: 26px; padding: 7px; font-size: 15px; font-weight: 600;
}
QPushButton#accent { background: $accent; color: $on_accent; border-color: $accent; font-weight: 600; }
QPushButton#accent:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton#accent:focus { border-color: $text; }
QPushButton::menu-indicator { image: none; width: 0; }
QPushButton#generate:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton#generate:focus { border: 2px solid $text; }

QToolButton { background: transparent; color: $text; border: 2px solid transparent; border-radius: 8px; }
QToolButton:hover { background: $hover; }
QToolButton:focus { border-color: $accent; }
QToolButton#gear { padding: 6px; }
QToolButton#gear::menu-indicator { image: none; }
QToolButton#bare { padding: 2px; }
QTabBar { background: transparent; border: none; }
QTabBar::tab {
    background: transparent; color: $muted; border: 2px solid transparent; border-radius: 8px;
    padding: 6px 14px; margin: 8px 2px; font-weight: 600;
}
QTabBar::tab:hover { background: $hover; }
QTabBar::tab:selected { background: $hover; color: $text; }
QTabBar::tab:focus { border-color: $accent; }
QToolButton#fold { color: $muted; padding: 3px 6px 3px 2px; margin-left: -6px; }

QFrame#notice { border: none; border-radius: 8px; }
QFrame#notice[tone="trouble"] { background: $trouble_card; }
QFrame#notice[tone="news"] { background: $news_card; }
QFrame#notice[tone="trouble"] QLabel#cause { color: $trouble; font-weight: 600; }
QFrame#notice[tone="news"] QLabel#cause { color: $news; font-weight: 600; }

QProgressBar { background: $line; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; }
QProgressBar::chunk { background: $accent; border-radius: 3px; }

QListView#cards { border: none; padding: 0 8px 8px 14px; }
QListView { background: $window; border: none; border-left: 1px solid $line; padding: 8px 0 8px 8px; }

QListView#completion { background: $card; border: 1px solid $line; padding: 0; }
QListView#completion::item { min-height: 24px; padding: 0 6px; }

QMenu { background: $card; color: $text; border: 1px solid $line; padding: 5px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 6px; }
QMenu::item:selected { background: $hover; }
QMenu::indicator { left: 6px; }
QMenu::separator { height: 1px; background: $line; margin: 5px 8px; }

QScrollBar { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; }
QScrollBar:horizontal { height: 10px; }
QScrollBar::handle { background: $line; border-radius: 3px; min-height: 28px; min-width: 28px; margin: 2px; }
QScrollBar::handle:hover { background: $muted; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
""")


def sheet(colours: Colours) -> str:
    """The style sheet in these colours."""
    return _SHEET.substitute(colours._asdict(), icons=FOLDER.as_posix())
