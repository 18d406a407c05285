"""Standard input and output of a child process: lines for its parent, and word of the parent's end."""

import os
import threading
from typing import BinaryIO


def own_output() -> BinaryIO:
    """Standard output for our lines alone: what libraries print goes to standard error from now on."""
    ours = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return ours


def end_with_parent() -> None:
    """End this process at once when the one that started it, and holds its standard input, is gone."""
    threading.Thread(target=_end_when_closed, daemon=True).start()


def _end_when_closed() -> None:
    while os.read(0, 4096):  # a buffered read would hang our own end
        pass
    os._exit(1)
