"""What went wrong and what to do about it, said where it is known; and the exit codes of the command line."""

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


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


class Cancelled(Exception):
    """The person called it off; not a failure."""


def closest(name: str, known: list[str]) -> str:
    """An advice that names what `name` may have meant, or everything known when nothing is near."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"Did you mean “{near[0]}”?"
    return f"Known are: {', '.join(known)}." if known else "None is installed."
