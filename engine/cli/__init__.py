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
from engine.cli import models
from engine.cli.terminal import finish, print_json, status
from engine.cli.values import axis, control, extension, image_prompt, in_words, lora, region
from engine.errors import BAD_INPUT, DONE, FAILED, INTERRUPTED, BadInput, closest
from engine.families import FAMILIES
from engine.messages import (
    Cancel,
    CancelledJob,
    Done,
    Event,
    Failed,
    Generate,
    Paused,
    Picture,
    Preparing,
    Progress,
    Started,
    WorkerLost,
)
from engine.settings import GenerateSettings, checked, fields, parsed
from engine.talk import ready, running

VERBS = ("generate", "upscale", "models", "info", "devices", "bench")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message[:1].upper()}{message[1:]}.", f"“{self.prog} --help” shows what there is.")


def main(arguments: list[str]) -> int:
    """Run one verb; the exit code. Raises EaselError."""
    if arguments[0] not in VERBS and not arguments[0].startswith("-"):
        raise BadInput(f"There is no verb “{arguments[0][:40]}”.", closest(arguments[0], list(VERBS)))
    chosen = _chosen(arguments)
    return chosen.run(chosen)


def _chosen(arguments: list[str]) -> argparse.Namespace:
    """What was typed; names may stand behind flags, which argparse takes for unknown words (until Python 3.12)."""
    whole = parser()
    chosen, more = whole.parse_known_args(arguments)
    if more and (not hasattr(chosen, "names") or any(each.startswith("-") for each in more)):
        whole.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        chosen.names = [*chosen.names, *more]
    return chosen


def parser() -> argparse.ArgumentParser:
    """The whole command line; the flags of `generate` are the declared settings."""
    top = _Parser(prog="easel", description="Makes pictures offline. Without a verb: the window.")
    verbs = top.add_subparsers(required=True, metavar="VERB")
    _add_generate(verbs.add_parser("generate", help="make a picture of a prompt"))
    _add_upscale(verbs.add_parser("upscale", help="make a picture larger"))
    models.add(verbs.add_parser("models", help="the library of models: what is there, and what can be done with it"))
    info = verbs.add_parser("info", help="the settings inside a picture, whoever made it")
    info.add_argument("picture", type=Path)
    finish(info, _info)
    finish(verbs.add_parser("devices", help="what this machine can do, what is chosen, and why"), _devices)
    bench = verbs.add_parser("bench", help="the speed of this machine")
    bench.add_argument("--pictures", type=int, default=3, metavar="INT", help="pictures that count; 3 if not given")
    bench.add_argument("--size", metavar="WxH", help="width and height in pixels; the model's own if not given")
    bench.add_argument("--weights-only", action="store_true", help="int8 with its activations in float, too")
    for name in ("model", "steps", "backend", "precision"):
        bench.add_argument(f"--{name}", help=f"of the pictures: as “generate” has --{name}")
    bench.set_defaults(prompt="a red house", seed="1", lora=[], control=[], image_prompt=[], region=[], extend=None)
    finish(bench, _bench)
    return top


def _add_generate(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("prompt", help="what the picture shows; may be empty")
    _add_settings(verb, {"prompt", "width", "height"})
    verb.add_argument(
        "--lora",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT][:lbw=1,0,...]",
        help="a LoRA to draw with, and a factor for each of its blocks; may be repeated",
    )
    verb.add_argument(
        "--control",
        action="append",
        default=[],
        metavar="KIND:FILE[:WEIGHT][,NAME=VALUE]...",
        help="a picture to draw along, and what is made of it first (none, canny, ...); then mode=balanced, prompt or "
        "control, net=NAME, shows=KIND, start=SHARE, end=SHARE; may be repeated",
    )
    verb.add_argument(
        "--image-prompt",
        action="append",
        default=[],
        metavar="FILE[:WEIGHT][,adapter=NAME]",
        help="a picture that says what to draw, beside the words, through an IP-Adapter; may be repeated",
    )
    verb.add_argument(
        "--region",
        action="append",
        default=[],
        metavar="MASK:PROMPT",
        help="a part of the picture, white in a file, with a prompt of its own; may be repeated",
    )
    verb.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="NAME=VALUE,...",
        help="a picture for every value of a setting, and a sheet of them; twice for across and down",
    )
    verb.add_argument(
        "--extend",
        metavar="SIDE=PIXELS,...",
        help="draw around the source, as in left=64,bottom=128; “all=64” for every side",
    )
    verb.add_argument("--size", metavar="WxH", help="width and height in pixels; the model's own if not given")
    verb.add_argument("--out", type=Path, metavar="FILE|FOLDER", help="where the pictures go")
    finish(verb, _generate)


def _add_settings(verb: argparse.ArgumentParser, without: set[str]) -> None:
    """A flag for every declared setting."""
    for field in fields():
        if field.name in without:
            continue
        setting = field.setting
        verb.add_argument(
            field.flag,
            metavar=field.type.__name__.upper() if not setting.choices else "NAME",
            help=f"{setting.help} {('One of: ' + ', '.join(setting.choices)) if setting.choices else ''}".replace(
                "%", "%%"
            ),
        )


def _add_upscale(verb: argparse.ArgumentParser) -> None:
    """`generate` with a source, a factor and no prompt: what it has by default is another."""
    verb.add_argument("source", help="the picture to enlarge; it stays as it is")
    verb.add_argument(
        "--factor", dest="upscale_factor", default="2", metavar="FLOAT", help="how many times; 2 if not given"
    )
    verb.add_argument("--prompt", default="", help="what it shows, where it is drawn anew")
    _add_settings(verb, {"prompt", "width", "height", "source", "mask", "upscale_factor", "strength"})
    verb.add_argument(
        "--strength", default="0", metavar="FLOAT", help="how much is drawn anew, in windows; 0 for nothing"
    )
    verb.add_argument("--out", type=Path, metavar="FILE|FOLDER", help="where the picture goes")
    verb.set_defaults(grid=[], lora=[], control=[], image_prompt=[], region=[], extend=None, size=None)
    finish(verb, _generate)


# ---------------------------------------------------------------- generate


def _generate(chosen: argparse.Namespace) -> int:
    settings = _settings(chosen)
    folder, stem = _target(chosen.out, settings.count)
    grid = tuple(map(axis, chosen.grid))
    request = Generate(job=uuid.uuid4().hex[:12], settings=settings, grid=grid, folder=str(folder), stem=stem)
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
        if len(sides) != 2 or not all(sides):
            raise BadInput(f"Size cannot be {chosen.size[:40]}.", "Use width x height, as in 512x512.")
        for name, side in zip(("width", "height"), sides, strict=True):
            values[name] = parsed(by_name[name], side)
    values["loras"] = tuple(map(lora, chosen.lora))
    values["controls"] = tuple(map(control, chosen.control))
    values["image_prompts"] = tuple(map(image_prompt, chosen.image_prompt))
    values["regions"] = tuple(map(region, chosen.region))
    if chosen.extend is not None:
        values["extend"] = extension(chosen.extend)
    for name in ("source", "mask"):
        if values.get(name):
            values[name] = str(Path(values[name]).expanduser().resolve())
    usual = FAMILIES[models.find(values["model"]).family].defaults if "model" in values else {}
    return GenerateSettings(**{**usual, **values})


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
            status(f"{event.what}: {event.done:.0%}")
        case Progress():
            of = f" of picture {event.picture} of {event.pictures}" if event.pictures > 1 else ""
            status(
                f"step {event.step} of {event.steps}{of}, {event.seconds_a_step:.2f} s a step, "
                f"{event.seconds_left:.0f} s left"
            )
        case Paused(on=True, why=why):
            print(f"\n{why or 'Paused.'}", file=sys.stderr)
        case Started():
            for note in event.notes:
                print(note, file=sys.stderr)
        case WorkerLost():
            print(f"\nThe engine stopped ({event.cause}).{' It starts again.' * event.again}", file=sys.stderr)
        case Picture():
            status("")
            for note in event.notes:
                print(note, file=sys.stderr)
            print(event.path, flush=True)
        case _:
            pass


def _shown_json(event: Event) -> None:
    if isinstance(event, (Started, Preparing, Paused, Progress, Picture, Done, WorkerLost, Failed, CancelledJob)):
        print_json(event)


# ---------------------------------------------------------------- the other verbs


def _info(chosen: argparse.Namespace) -> int:
    made, fields_found = pictures.read(chosen.picture)
    if chosen.json:
        print_json({"picture": str(chosen.picture), "easel": made, "parameters": fields_found})
        return DONE
    if made is not None:
        for name, value in json.loads(msgspec.json.encode(made)).pop("settings").items():
            if name != "type" and value not in ("", [], None):
                print(f"{name}: {in_words(value)}")
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
        print_json(machine)
        return DONE
    for device in machine.devices:
        is_chosen = device.backend == machine.chosen
        mark = "→" if is_chosen else " "
        can = f"{', '.join(device.precisions)}; {device.memory_bytes / 1e9:.0f} GB. " if device.here else "Not here: "
        print(f"{mark} {device.backend:9} {device.name}: {can}{device.why}")
    print(f"Chosen: {machine.chosen} in {machine.precision}, the first in this list that is here.")
    return DONE


def _bench(chosen: argparse.Namespace) -> int:
    if not 1 <= chosen.pictures <= 100:
        raise BadInput(f"Pictures cannot be {chosen.pictures}.", "Use a whole number from 1 to 100.")
    settings = checked(_settings(chosen))
    for pace in measured(settings, chosen.pictures, settings.backend, chosen.weights_only):
        print_json(pace) if chosen.json else print(pace.sentence(), flush=True)
    return DONE
