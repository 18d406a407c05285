"""The parity matrix: every comparison with plain diffusers, checked, and printed as one table by `make parity`."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import pytest
from PIL import Image

from engine.backends.openvino import convert, converted
from engine.patience import Report

LEVELS = {("torch", "fp32"): 0, ("openvino", "fp32"): 1}
"""Of 255. torch runs the same code on the same numbers; OpenVINO adds up float32 in another order, which can turn a
rounding."""
DECIBELS = {"bf16": 28.0, "int8": 20.0}
"""Mean PSNR on models of random weights, whose pictures are noise: the hardest case. Of the starter model it is 50 for
bf16 and above 32 for int8 (tests/reference/test_starter.py)."""


class Cell(NamedTuple):
    """One comparison."""

    family: str
    task: str
    conditioning: str
    backend: str
    precision: str


class Agree(Protocol):
    """Compares two pictures and remembers how far they are apart; fails where that is more than is allowed."""

    def __call__(self, ours: Image.Image, theirs: Image.Image, cell: Cell, allowed: int | None = None) -> None: ...


_FOUND = pytest.StashKey[dict[Cell, float]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_FOUND] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity", action="store_true", help="fill the whole parity matrix, and print it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow ones that run the same code as some that stay, unless the whole matrix is asked for."""
    if config.getoption("--parity", default=False):
        return
    left_out = [item for item in items if _is_for_parity(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_for_parity(item: pytest.Item) -> bool:
    """Whether the parameters are among those that its marker names."""
    marker = item.get_closest_marker("parity")
    values = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return marker is not None and all(values[name] in some for name, some in marker.kwargs.items())


@pytest.fixture(scope="package", autouse=True)
def _converted_here() -> Iterator[None]:
    """Models are converted in this process, which has torch at hand: a child would load it anew for every one."""

    def run(conversion: converted.Conversion, report: Report) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the tracer says of other people's code
            convert.convert(conversion, lambda done: report("Converting the model, once", done))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(converted, "_run", run)
        yield


@pytest.fixture
def agree(request: pytest.FixtureRequest) -> Agree:
    """The comparison."""
    found = request.config.stash[_FOUND]

    def compared(ours: Image.Image, theirs: Image.Image, cell: Cell, allowed: int | None = None) -> None:
        one, other = (np.asarray(each.convert("RGB"), np.float64) for each in (ours, theirs))
        levels = float(np.abs(one - other).max())
        if (cell.backend, cell.precision) in LEVELS:
            found[cell] = max(levels, found.get(cell, 0.0))
            assert levels <= (LEVELS[cell.backend, cell.precision] if allowed is None else allowed), cell
            return
        decibels = 10 * np.log10(255**2 / max(float(((one - other) ** 2).mean()), 1e-9))
        found[cell] = min(decibels, found.get(cell, np.inf))
        assert decibels >= DECIBELS[cell.precision], cell

    return compared


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--parity", default=False):
        for line in _table(config.stash[_FOUND]):
            terminalreporter.write_line(line)


def _table(found: dict[Cell, float]) -> Iterator[str]:
    """Markdown: a row for each family, task and conditioning, a column for each backend and precision."""
    columns = sorted({(cell.backend, cell.precision) for cell in found}, key=lambda each: (each[0] != "torch", each))
    yield "Greatest difference from plain diffusers, same seed: levels of 255 for fp32, PSNR in dB for bf16 and int8"
    yield f"| family | task | conditioning | {' | '.join(' '.join(each) for each in columns)} |"
    yield "|" + "---|" * (3 + len(columns))
    shown: Callable[[Cell], str] = lambda cell: (  # noqa: E731
        "" if cell not in found else f"{found[cell]:.0f}" if cell.precision == "fp32" else f"{found[cell]:.1f} dB"
    )
    for row in dict.fromkeys((cell.family, cell.task, cell.conditioning) for cell in sorted(found)):
        yield f"| {' | '.join(row)} | {' | '.join(shown(Cell(*row, *each)) for each in columns)} |"
