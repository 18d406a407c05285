"""Measurements behind the README's figures; nothing here is run by the tests."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(home: Path) -> dict[str, str]:
    """A process's environment with its own home for Easel."""
    return os.environ | {"EASEL_HOME": str(home), "PYTHONPATH": str(ROOT)}
