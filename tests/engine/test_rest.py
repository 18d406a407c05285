"""Rests on the battery and in the heat: what the sensors say, and a real picture that waits for them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine import keeping, rest
from engine.messages import Done, Keep, Pause, Paused, Progress
from engine.rest import HOT, ON_BATTERY, Heat, Sensors
from engine.settings import Preferences
from tests.conftest import Engine

COOL = Preferences(rest_when_hot="on")
PLUGGED = Preferences(rest_on_battery="on")


@pytest.mark.parametrize(
    ("sensors", "preferences", "before", "why"),
    [
        (Sensors(True, (Heat(99, 90),)), Preferences(), "", ""),
        (Sensors(), Preferences(rest_on_battery="on", rest_when_hot="on"), "", ""),
        (Sensors(True), PLUGGED, "", ON_BATTERY),
        (Sensors(False), PLUGGED, ON_BATTERY, ""),
        (Sensors(False, (Heat(89.9, 90), Heat(50, 90))), COOL, "", ""),
        (Sensors(False, (Heat(50, 90), Heat(80, 80))), COOL, "", HOT),
        (Sensors(False, (Heat(81, 90),)), COOL, HOT, HOT),
        (Sensors(False, (Heat(79, 90),)), COOL, HOT, ""),
        (Sensors(True, (Heat(99, 90),)), COOL, "", HOT),
    ],
)
def test_why_it_rests(sensors: Sensors, preferences: Preferences, before: str, why: str) -> None:
    assert rest.reason(sensors, preferences, before) == why


def test_this_machines_sensors_can_be_read() -> None:
    found = rest.look()
    assert all(-50 < heat.celsius < 150 and 50 <= heat.limit <= 90 for heat in found.heats)


def test_limits_are_the_processors_own_up_to_ninety(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = psutil._ntuples.shwtemp
    chips = {
        "coretemp": [sensor("Package", 61.0, 100.0, 100.0), sensor("Core 0", 60.0, 84.0, 100.0)],
        "k10temp": [sensor("Tctl", 55.0, None, None), sensor("", 54.0, 0.0, None)],
        "nvme": [sensor("Composite", 70.0, 65261.0, None)],
    }
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    heats = rest.look().heats
    assert heats == (Heat(61, 90), Heat(60, 84), Heat(55, 90), Heat(54, 90))


def test_a_sensor_that_fails_is_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("no such device")

    monkeypatch.setattr(psutil, "sensors_battery", broken)
    monkeypatch.delattr(psutil, "sensors_temperatures", raising=False)
    assert rest.look() == Sensors()


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path) -> Iterator[Callable[[bool], None]]:
    """A laptop's battery as Linux shows it, that can be plugged in; the person wants to rest on it."""
    if sys.platform != "linux":
        pytest.skip("the battery is made of Linux's files")
    supply = tmp_path / "power_supply"
    for name, text in {"BAT0/capacity": "80", "BAT0/status": "Discharging", "AC0/online": "0"}.items():
        (supply / name).parent.mkdir(parents=True, exist_ok=True)
        (supply / name).write_text(text)
    monkeypatch.setattr("psutil._pslinux.POWER_SUPPLY_PATH", str(supply))
    monkeypatch.setattr("engine.service.LOOK_SECONDS", 0.1)
    keeping.keep(PLUGGED)
    yield lambda on: (supply / "AC0" / "online").write_text(str(int(on))) and None
    keeping.keep(Preferences())


def test_a_picture_waits_for_the_plug_or_the_person(
    plug: Callable[[bool], None], own_engine: Engine, tmp_path: Path
) -> None:
    job, other = own_engine.ask(tmp_path, steps=150, count=2), own_engine.ask(tmp_path, steps=20)
    resting = Paused(job=job, why=ON_BATTERY)
    told = own_engine.until(lambda event: isinstance(event, Paused))
    assert told[-1] == resting
    assert not any(isinstance(event, Progress) for event in told)
    plug(True)
    own_engine.until(lambda event: isinstance(event, Progress) and event.step == 5)
    plug(False)
    own_engine.until(lambda event: event == resting)
    own_engine.service.send(Pause(job=job, on=True))
    own_engine.until(lambda event: event == Paused(job=job))
    own_engine.service.send(Pause(job=job, on=False))
    own_engine.until(lambda event: event == resting)
    own_engine.service.send(Pause(job=job, on=False))
    events = own_engine.over(job)
    assert [event for event in events if isinstance(event, Paused)] == [Paused(job=job, on=False)]
    assert isinstance(events[-1], Done)
    own_engine.until(lambda event: event == Paused(job=other, why=ON_BATTERY))
    own_engine.service.send(Keep(value=Preferences()))
    assert isinstance(own_engine.over(other)[-1], Done)
