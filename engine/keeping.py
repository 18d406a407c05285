"""The preferences and the settings being typed, kept in one small JSON file each."""

import json
import logging
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import BadInput
from engine.paths import home, ready, whole
from engine.settings import GenerateSettings, Preferences, S, checked, fields

_log = logging.getLogger(__name__)


def read(of: type[S]) -> S:
    """What was kept, or the defaults. A value that is wrong is reset alone; the file as it was is set aside."""
    path = _path(of)
    try:
        found: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return of()
    except (OSError, ValueError, RecursionError) as error:
        _log.info("%s is not readable (%s): defaults", path.name, type(error).__name__)
        _set_aside(path)
        return of()
    try:
        return _checked(of, found)
    except (BadInput, msgspec.ValidationError):
        values, spoiled = _valid(of, found if isinstance(found, dict) else {})
    if spoiled:
        _log.info("%s: reset %s", path.name, ", ".join(spoiled))
        _set_aside(path)
    return of(**values)


def _checked(of: type[S], found: object) -> S:
    """The whole of it. Raises BadInput and ValidationError."""
    whole = msgspec.convert(found, of)
    checked(whole)
    return whole


def _valid(of: type[S], found: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    spoiled: list[str] = []
    for field in fields(of):
        if field.name not in found:
            continue
        value = found[field.name]
        try:
            checked(of(**values, **{field.name: value}))  # some need one that is declared before them
        except BadInput:
            spoiled.append(field.name)
        else:
            values[field.name] = value
    return values, spoiled


def keep(value: Preferences | GenerateSettings) -> None:
    """Write it whole or not at all. Raises EaselError where the folder refuses."""
    path = _path(type(value))
    ready(path.parent)
    with whole(path) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(value)))


def _path(of: type[Preferences | GenerateSettings]) -> Path:
    return home() / f"{of.__struct_config__.tag}.json"


def _set_aside(path: Path) -> None:
    try:
        path.replace(path.with_suffix(".spoiled.json"))
    except OSError as error:
        _log.info("%s could not be set aside (%s)", path.name, type(error).__name__)
