"""What went wrong and what to do about it, said where it is known; and the exit codes of the command line."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_NAMED = 30
"""Names at most in an advice."""


class EaselError(Exception):
    """A failure a person can read: one sentence of cause, one of advice. Exit code 1."""

    exit_code = FAILED

    def __init__(self, cause: str, advice: str, where: str = "") -> None:
        super().__init__(f"{cause} {advice}".strip())
        self.cause = cause
        self.advice = advice
        self.where = where
        """The name of the setting or the file that the failure is about; empty when there is none."""


class BadInput(EaselError):
    """What was asked for cannot be done as asked. Exit code 2."""

    exit_code = BAD_INPUT


class OutOfMemory(EaselError):
    """The device or the machine has too little memory for what was asked."""


class Overflowed(EaselError):
    """The model's numbers left the range of their precision: there is no picture, but there may be in float32."""


class Cancelled(Exception):
    """The person called it off; not a failure."""


_MEMORY_WORDS = (
    "bad_alloc", "bad allocation", "failed to allocate", "allocate memory", "alloc_failed", "out of memory",
    "enough memory", "insufficient memory", "failed to map segment", "could not create a memory",
    "can't start new thread", "resource temporarily unavailable", "can't alloc",
)  # fmt: skip
"""What torch, OpenVINO, oneDNN, CUDA's libraries, safetensors and the system's loader say when memory runs out."""


def for_want_of_memory(error: BaseException) -> bool:
    """Whether a library's error, or one that it was caused by, says that memory ran out."""
    said = str(error).lower()
    return (
        isinstance(error, (MemoryError, OutOfMemory))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or any(words in said for words in _MEMORY_WORDS)
        or (error.__cause__ is not None and for_want_of_memory(error.__cause__))
    )


@contextmanager
def memory_said(cause: str, advice: str = "Close other programs, or use a smaller model.") -> Iterator[None]:
    """Turn the libraries' ways of running out of memory into ours."""
    try:
        yield
    except OutOfMemory:
        raise
    except (RuntimeError, MemoryError, OSError, ImportError) as error:
        if not for_want_of_memory(error):
            raise
        raise OutOfMemory(cause, advice) from error


def closest(name: str, known: list[str]) -> str:
    """An advice that names what `name` may have meant, or everything known when nothing is near."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean “{near[0]}”?"
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    return f"Known are: {', '.join(known[:_NAMED])}{more}." if known else "None is installed."


def shown(value: object) -> str:
    """A value short enough for a sentence."""
    text = str(value)
    return text if len(text) <= 40 else text[:40] + "…"
