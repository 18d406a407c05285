"""Keeps every process of Easel off the network; imported before anything that could phone home."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
    "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
    "NNCF_CI": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",
}


def seal() -> None:
    """Block the telemetry and the downloads of our dependencies, here and in every child process.

    `openvino_telemetry` sends on import and from a child process of its own; a None in `sys.modules`
    makes its import fail, which OpenVINO and NNCF accept.
    """
    os.environ.update(_ENVIRONMENT)
    sys.modules["openvino_telemetry"] = None  # pyright: ignore[reportArgumentType]


_OUTSIDE = (
    "socket.", "subprocess.", "shutil.", "ftplib.", "smtplib.", "urllib.", "webbrowser.", "pty.", "pickle.",
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill",
    "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate",
)  # fmt: skip
"""How the interpreter announces what reaches out of a process: https://docs.python.org/3/library/audit_events.html"""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def confine(target: Path) -> None:
    """From now on and for good this process makes no connection, starts no program, and writes one file, `target`.

    Whatever tries gets a PermissionError. It is Python's own watch: libraries in C are not under it.
    """
    only = str(target)
    sys.dont_write_bytecode = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and str(path) != only:
                raise PermissionError(errno.EPERM, f"writing {path} is not allowed here")
        elif event.startswith(_OUTSIDE):
            raise PermissionError(errno.EPERM, f"{event} is not allowed here")

    sys.addaudithook(watch)
