"""The short trial that puts the precisions of this machine in order before its first picture."""

from pathlib import Path

import openvino as library
import pytest

from engine.backends import fastest, openvino
from engine.backends.choice import choose, tried
from engine.backends.openvino import trial
from engine.errors import BadInput, Cancelled
from engine.messages import Device


class Told:
    """What was said of preparation."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, float]] = []

    def __call__(self, what: str, done: float) -> None:
        self.lines.append((what, done))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家"))
    monkeypatch.setattr(trial, "SIDE", 8)
    monkeypatch.setattr(trial, "SECONDS", 0.0)


@pytest.fixture(scope="module")
def device() -> Device:
    return openvino.probe()


def test_it_measures_once_and_follows_what_it_found(device: Device) -> None:
    told = Told()
    (found,) = tried([device], "auto", "auto", told)
    assert sorted(found.precisions) == sorted(device.precisions)
    assert fastest.is_known(device)
    assert [what for what, _ in told.lines] == ["Measuring which precision is fastest here, once"] * len(told.lines)
    assert told.lines[0][1] == 0.0
    assert sorted(done for _, done in told.lines) == [done for _, done in told.lines]
    assert told.lines[-1][1] < 1.0
    told.lines.clear()
    assert tried([device], "openvino", "auto", told) == [found] == fastest.ordered([device])
    assert told.lines == []


@pytest.mark.parametrize("spoiled", ["{", '{"openvino": {"name": "x", "precisions": ["int8"]}}', None])
def test_a_memory_that_cannot_be_believed_is_measured_again(device: Device, spoiled: str | None) -> None:
    """Damaged, of an older Easel, or of another OpenVINO."""
    fastest.remember(device, dict.fromkeys(device.precisions, 1.0))
    kept = fastest._file().read_text()
    here = library.__version__.split("-")[0]
    assert here in kept
    fastest._file().write_text(kept.replace(here, "2024.1.0") if spoiled is None else spoiled)
    assert not fastest.is_known(device)
    with pytest.raises(Cancelled):  # it is about to measure; that takes no cancelled picture's time
        tried([device], "auto", "auto", _cancel)
    assert not fastest.is_known(device)


def test_what_bench_measured_is_followed_without_a_trial(device: Device) -> None:
    last = device.precisions[-1]
    fastest.remember(device, {precision: 1.0 + (precision != last) for precision in device.precisions})
    found = tried([device], "auto", "auto", _cancel)
    assert choose(found, "auto", "auto").precisions == (last,)


def test_who_chose_is_not_kept_waiting(device: Device) -> None:
    """A precision, or another backend."""
    torch = Device(backend="torch", name="CPU", here=True, precisions=("fp32", "bf16"))
    for backend, precision in (("auto", "int8"), ("openvino", "fp32"), ("torch", "auto")):
        assert tried([device, torch], backend, precision, _cancel) == [device, torch]
    with pytest.raises(BadInput, match="not on this machine"):
        tried([Device(backend="openvino", name="CPU", here=False), torch], "openvino", "auto", _cancel)


def _cancel(_what: str, _done: float) -> None:
    raise Cancelled


def test_the_piece_counts_in_the_precision_that_it_is_timed_for(device: Device) -> None:
    """Convolutions in int8 and in float32, as the runtime says."""
    core = library.Core()
    for precision, kinds in (("int8", {"i8", "u8"}), ("fp32", {"f32"})):
        if precision in device.precisions:
            model = trial._Piece(precision == "int8").model()
            compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            said = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
            convolutions = [each for each in said if each["layerType"].astype(str) == "Convolution"]
            assert len(convolutions) == 4
            assert {each["runtimePrecision"].astype(str) for each in convolutions} <= kinds
