"""The house keeps its shape: light where it must be light, small, and each thing said once."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from engine.cli import parser
from engine.families import FAMILIES
from engine.settings import fields

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "openvino", "nncf", "numpy", "PIL.ImageQt")
SOURCES = sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("desktop/**/*.py"), ROOT / "main.py"])


@pytest.mark.parametrize("module", ["main", "desktop.app", "engine.cli", "engine.service"])
def test_what_starts_first_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_modules_and_functions_stay_small() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    functions = dict(each for path in SOURCES for each in _functions(path))
    print(f"{len(lines)} files, median {median(lines.values())}, longest {max(lines.values())} lines; ", end="")
    print(f"{len(functions)} functions, median {median(functions.values())}, longest {max(functions.values())} lines")
    assert [str(path) for path, count in lines.items() if count > 500] == []
    assert [name for name, count in functions.items() if count > 60] == []


def test_every_module_says_what_it_is() -> None:
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_a_family_is_named_in_its_own_place_alone() -> None:
    names = [f'"{family}"' for family in FAMILIES]
    elsewhere = [path for path in SOURCES if "families" not in path.parts]
    assert [str(path) for path in elsewhere if any(name in path.read_text(encoding="utf-8") for name in names)] == []


def test_every_setting_is_a_flag() -> None:
    settings = [field.flag for field in fields() if field.name not in ("prompt", "width", "height")]
    values = [item for flag in settings for item in (flag, "1")]
    chosen = parser().parse_args(["generate", "words", *values, "--size", "64x64"])
    assert all(getattr(chosen, flag[2:].replace("-", "_")) == "1" for flag in settings)
