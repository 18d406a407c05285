"""The order of precisions that was measured on this machine."""

from pathlib import Path

import pytest

from engine.backends import fastest
from engine.backends.choice import choose
from engine.messages import Device

DEVICE = Device(backend="openvino", name="a processor", here=True, precisions=("int8", "bf16", "fp32"))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_HOME", str(tmp_path / "家"))


def test_the_fastest_measured_is_chosen_and_another_may_be_asked_for() -> None:
    assert fastest.ordered([DEVICE]) == [DEVICE]
    fastest.remember(DEVICE, {"int8": 0.3, "bf16": 0.1, "fp32": 0.2})
    (device,) = found = fastest.ordered([DEVICE])
    assert device.precisions == ("bf16", "fp32", "int8")
    assert choose(found, "auto", "auto").precisions == ("bf16",)
    assert choose(found, "auto", "int8").precisions == ("int8",)


def test_another_machine_or_a_spoiled_file_counts_for_nothing() -> None:
    fastest.remember(DEVICE, {"int8": 0.3, "bf16": 0.1, "fp32": 0.2})
    for other in (
        Device(backend="openvino", name="another", here=True, precisions=DEVICE.precisions),
        Device(backend="openvino", name=DEVICE.name, here=True, precisions=("fp32",)),
        Device(backend="torch", name=DEVICE.name, here=True, precisions=DEVICE.precisions),
    ):
        assert fastest.ordered([other]) == [other]
    fastest._file().write_text('{"openvino": 3')
    assert fastest.ordered([DEVICE]) == [DEVICE]
