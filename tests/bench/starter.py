"""What the starter pack promises: 20 steps at 256 x 256, and 4 steps with the few-step LoRA."""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench import environment

RUNS = 3
QUICK = ("--lora", "easel-lcm", "--steps", "4", "--scheduler", "LCM", "--guidance-scale", "1")


def figures(home: Path) -> dict[str, float]:
    """Seconds a picture, the model loaded: each the median of a few, drawn by one call of the command line."""
    return {
        "256 x 256, 20 steps": _seconds(home, "--size", "256x256"),
        "128 x 128, 4 steps": _seconds(home, *QUICK),
        "256 x 256, 4 steps": _seconds(home, *QUICK, "--size", "256x256"),
    }


def _seconds(home: Path, *options: str) -> float:
    """Median time between two pictures of one job, from the times of their files."""
    with tempfile.TemporaryDirectory(prefix="easel-bench-") as folder:
        command = [sys.executable, "main.py", "generate", "a red house", "--count", str(RUNS + 1), "--out", folder]
        subprocess.run([*command, *options], env=environment(home), check=True, capture_output=True)
        moments = sorted(path.stat().st_mtime for path in Path(folder).glob("*.png"))
        return median(later - sooner for sooner, later in zip(moments, moments[1:], strict=False))
