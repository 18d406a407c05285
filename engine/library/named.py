"""Things that are named by their path rather than by the name they are installed under."""

from pathlib import Path


def folder_at(name: str) -> Path | None:
    """The folder of a component in diffusers' form at that path; None where there is none."""
    path = Path(name).expanduser()
    try:
        return path.resolve() if (path / "config.json").is_file() else None
    except (OSError, ValueError):  # a name that no path can have
        return None
