"""The verbs of the command line: results on standard output, progress and errors on standard error."""

import argparse
import json
import queue
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from engine import paths, pictures
from engine.bench import measured
from engine.errors import BAD_INPUT, DONE, FAILED, INTERRUPTED, BadInput, closest
from engine.library import index
from engine.messages import (
    Cancel,
    CancelledJob,
    Done,
    Event,
    Failed,
    Generate,
    ModelCard,
    Picture,
    Preparing,
    Progress,
    Started,
    WorkerLost,
)
from engine.settings import ControlUse, GenerateSettings, LoraUse, fields, parsed
from engine.talk import ready, running

VERBS = ("generate", "models", "info", "devices", "bench")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message[:1].upper()}{message[1:]}.", f"“{self.prog} --help” shows what there is.")


def main(arguments: list[str]) -> int:
    """Run one verb; the exit code. Raises EaselError."""
    if arguments[0] not in VERBS and not arguments[0].startswith("-"):
        raise BadInput(f"There is no verb “{arguments[0][:40]}”.", closest(arguments[0], list(VERBS)))
    chosen = parser().parse_args(arguments)
    return chosen.run(chosen)


def parser() -> argparse.ArgumentParser:
    """The whole command line; the flags of `generate` are the declared settings."""
    top = _Parser(prog="easel", description="Makes pictures offline. Without a verb: the window.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    _add_generate(verbs.add_parser("generate", help="make a picture of a prompt"))
    models = verbs.add_parser("models", help="the models that are there")
    models.add_argument("action", nargs="?", choices=("list", "info", "convert"), default="list")
    models.add_argument("name", nargs="?", help="a model's name or folder")
    models.add_argument(
        "--precision", choices=("auto", "int8", "bf16", "fp32"), default="auto", help="what to convert for"
    )
    _finish(models, _models)
    info = verbs.add_parser("info", help="the settings inside a picture, whoever made it")
    info.add_argument("picture", type=Path)
    _finish(info, _info)
    _finish(verbs.add_parser("devices", help="what this machine can do, what is chosen, and why"), _devices)
    bench = verbs.add_parser("bench", help="the speed of this machine")
    bench.add_argument("--steps", type=int, default=20, help="steps a picture")
    _finish(bench, _bench)
    return top


def _finish(verb: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    verb.add_argument("--json", action="store_true", help="one JSON object a line")
    verb.set_defaults(run=run)


def _add_generate(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("prompt", help="what the picture shows; may be empty")
    for field in fields():
        if field.name in ("prompt", "width", "height"):
            continue
        setting = field.setting
        verb.add_argument(
            field.flag,
            metavar=field.type.__name__.upper() if not setting.choices else "NAME",
            help=f"{setting.help} {('One of: ' + ', '.join(setting.choices)) if setting.choices else ''}".replace(
                "%", "%%"
            ),
        )
    verb.add_argument(
        "--lora", action="append", default=[], metavar="NAME[:WEIGHT]", help="a LoRA to draw with; may be repeated"
    )
    verb.add_argument(
        "--control",
        action="append",
        default=[],
        metavar="KIND:FILE[:WEIGHT]",
        help="a picture to draw along, and what is made of it first (none, canny, ...); may be repeated",
    )
    verb.add_argument("--size", metavar="WxH", help="width and height in pixels; the model's own if not given")
    verb.add_argument("--out", type=Path, metavar="FILE|FOLDER", help="where the pictures go")
    _finish(verb, _generate)


# ---------------------------------------------------------------- generate


def _generate(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    folder, stem = _target(chosen.out, settings.count)
    request = Generate(job=uuid.uuid4().hex[:12], settings=settings, folder=str(folder), stem=stem)
    return _drawn(request, _shown_json if chosen.json else _shown)


def _settings(chosen: argparse.Namespace) -> GenerateSettings:
    values: dict[str, Any] = {"prompt": chosen.prompt}
    by_name = {field.name: field for field in fields()}
    for name, field in by_name.items():
        typed = getattr(chosen, name, None)
        if typed is not None:
            values[name] = parsed(field, typed)
    if chosen.size is not None:
        sides = chosen.size.lower().split("x")
        if len(sides) != 2:
            raise BadInput(f"Size cannot be {chosen.size[:40]}.", "Use width x height, as in 512x512.")
        for name, side in zip(("width", "height"), sides, strict=True):
            values[name] = parsed(by_name[name], side)
    values["loras"] = tuple(map(_lora, chosen.lora))
    values["controls"] = tuple(map(_control, chosen.control))
    for name in ("source", "mask"):
        if values.get(name):
            values[name] = str(Path(values[name]).expanduser().resolve())
    return GenerateSettings(**values)


def _lora(typed: str) -> LoraUse:
    name, weight = _with_weight(typed)
    return LoraUse(name=name, weight=weight)


def _control(typed: str) -> ControlUse:
    kind, _, rest = typed.partition(":")
    image, weight = _with_weight(rest)
    if not image:
        raise BadInput(
            f"The control “{typed[:40]}” names no picture.",
            "Use KIND:FILE or KIND:FILE:WEIGHT, as in canny:cat.png:0.8.",
        )
    return ControlUse(kind=kind, image=str(Path(image).expanduser().resolve()), weight=weight)


def _with_weight(typed: str) -> tuple[str, float]:
    """A name, and the number behind its last colon, 1 where there is none; names and paths may have colons, too."""
    name, colon, weight = typed.rpartition(":")
    try:
        return (name, float(weight)) if colon else (typed, 1.0)
    except ValueError:
        return typed, 1.0


def _target(out: Path | None, count: int) -> tuple[Path, str]:
    """The folder and the file's stem; an empty stem for one by date."""
    if out is None:
        return paths.pictures(), ""
    if out.suffix.lower() != ".png" or out.is_dir():
        if out.is_file() or (out.suffix and not out.is_dir()):
            raise BadInput(f"“{out.name}” is no PNG file and no folder.", "Name a .png file or a folder.")
        return out, ""
    if out.exists() and count == 1:
        raise BadInput(f"“{out}” is there already.", "Easel never overwrites; use another name.")
    return out.parent, out.stem


def _drawn(request: Generate, show: Callable[[Event], None]) -> int:
    with running() as (service, told):
        service.send(request)
        try:
            return _until_over(request, told, show)
        except KeyboardInterrupt:
            service.send(Cancel(job=request.job))
            _until_over(request, told, show)
            return INTERRUPTED


def _until_over(request: Generate, told: "queue.Queue[Event]", show: Callable[[Event], None]) -> int:
    while True:
        event = told.get()
        show(event)
        if isinstance(event, Failed) and event.job in ("", request.job):
            code = BAD_INPUT if event.fault == "request" else FAILED
            print(f"{event.cause} {event.advice}", file=sys.stderr)
            return code
        if event.job == request.job and isinstance(event, (Done, CancelledJob)):
            return DONE if isinstance(event, Done) else INTERRUPTED


def _shown(event: Event) -> None:
    match event:
        case Preparing():
            _status(f"{event.what}: {event.done:.0%}")
        case Progress():
            of = f" of picture {event.picture} of {event.pictures}" if event.pictures > 1 else ""
            _status(
                f"step {event.step} of {event.steps}{of}, {event.seconds_a_step:.2f} s a step, "
                f"{event.seconds_left:.0f} s left"
            )
        case Started():
            for note in event.notes:
                print(note, file=sys.stderr)
        case WorkerLost():
            print(f"\nThe engine stopped ({event.cause}).{' It starts again.' * event.again}", file=sys.stderr)
        case Picture():
            _status("")
            print(event.path, flush=True)
        case _:
            pass


def _status(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _shown_json(event: Event) -> None:
    if isinstance(event, (Started, Preparing, Progress, Picture, Done, WorkerLost, Failed, CancelledJob)):
        _print_json(event)


def _print_json(value: object) -> None:
    print(msgspec.json.encode(value).decode(), flush=True)


# ---------------------------------------------------------------- the other verbs


def _models(chosen: argparse.Namespace) -> int:
    if chosen.action == "list":
        for card in index.cards():
            _print_card(card, chosen.json)
        return DONE
    if not chosen.name:
        raise BadInput(f"Which model is “{chosen.action}” for?", "Name one; “easel models” lists them.")
    card = index.find(chosen.name)
    if chosen.action == "info":
        _print_card(card, chosen.json)
        return DONE
    return _convert(card, chosen.precision, chosen.json)


def _convert(card: ModelCard, precision: str, as_json: bool) -> int:
    """Make the graphs that OpenVINO draws with ahead of the first picture, where OpenVINO is what draws."""
    from engine.backends import openvino
    from engine.backends.choice import choose, devices
    from engine.pipelines import components_of

    device = choose(devices(), "auto" if precision == "auto" else "openvino", precision)
    if device.backend != "openvino":
        print(f"There is nothing to convert: {device.name} draws with the model as it is.")
        return DONE

    def report(what: str, done: float) -> None:
        if as_json:
            _print_json(Preparing(what=what, done=done))
        else:
            _status(f"{what}: {done:.0%}")

    openvino.prepare(components_of(card), device.precisions[0], report)
    if not as_json:
        _status("")
        print(f"{card.name} is ready in {device.precisions[0]}.")
    return DONE


def _print_card(card: ModelCard, as_json: bool) -> None:
    if as_json:
        _print_json(card)
        return
    what = card.broken or f"{card.family}, {card.native_size} pixels, {card.size_bytes / 1e6:.0f} MB"
    print(f"{card.name}\t{what}\t{card.path}")


def _info(chosen: argparse.Namespace) -> int:
    made, fields_found = pictures.read(chosen.picture)
    if chosen.json:
        _print_json({"picture": str(chosen.picture), "easel": made, "parameters": fields_found})
        return DONE
    if made is not None:
        for name, value in json.loads(msgspec.json.encode(made)).pop("settings").items():
            if name != "type":
                print(f"{name}: {value}")
        print(f"made by: {made.program}, in {made.seconds:.1f} s")
    elif fields_found:
        for name, value in fields_found.items():
            print(f"{name}: {value}")
    else:
        print("No settings are inside this picture.")
    return DONE


def _devices(chosen: argparse.Namespace) -> int:
    with running() as (_, told):
        machine = ready(told)
    if chosen.json:
        _print_json(machine)
        return DONE
    for device in machine.devices:
        is_chosen = device.backend == machine.chosen
        mark = "→" if is_chosen else " "
        can = f"{', '.join(device.precisions)}; {device.memory_bytes / 1e9:.0f} GB. " if device.here else "Not here: "
        print(f"{mark} {device.backend:9} {device.name}: {can}{device.why}")
    print(f"Chosen: {machine.chosen} in {machine.precision}, the first in this list that is here.")
    return DONE


def _bench(chosen: argparse.Namespace) -> int:
    if not 1 <= chosen.steps <= 150:
        raise BadInput(f"Steps cannot be {chosen.steps}.", "Use a whole number from 1 to 150.")
    with running() as (service, told):
        for pace in measured(service, told, chosen.steps):
            _print_json(pace) if chosen.json else print(pace.sentence(), flush=True)
    return DONE
