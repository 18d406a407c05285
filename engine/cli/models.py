"""The verb “models”: what is in the library, and what can be done with it."""

import argparse

from engine.cli.terminal import finish, print_json, status
from engine.errors import DONE, BadInput
from engine.library import index
from engine.messages import ModelCard, Preparing


def add(verb: argparse.ArgumentParser) -> None:
    """Its actions and their flags."""
    verb.add_argument("action", nargs="?", choices=("list", "info", "convert", "cache"), default="list")
    verb.add_argument("name", nargs="?", help="a model's name or folder")
    verb.add_argument(
        "--precision", choices=("auto", "int8", "bf16", "fp32"), default="auto", help="what to convert for"
    )
    verb.add_argument("--clear", action="store_true", help="with “cache”: remove the compiled graphs")
    finish(verb, _models)


def _models(chosen: argparse.Namespace) -> int:
    if chosen.action == "list":
        for card in index.cards():
            _print_card(card, chosen.json)
        return DONE
    if chosen.action == "cache":
        return _cache(clear=chosen.clear, as_json=chosen.json)
    if not chosen.name:
        raise BadInput(f"Which model is “{chosen.action}” for?", "Name one; “easel models” lists them.")
    card = index.find(chosen.name)
    if chosen.action == "info":
        _print_card(card, chosen.json)
        return DONE
    return _convert(card, chosen.precision, chosen.json)


def _cache(*, clear: bool, as_json: bool) -> int:
    """Show or clear what is kept of compiled graphs, which come again by themselves."""
    from engine.backends.openvino import compiled

    found = compiled.clear() if clear else compiled.held()
    if as_json:
        kept = {"folder": str(compiled.home()), "limit_bytes": compiled.LIMIT_BYTES, "cleared": clear}
        print_json({"graphs": found.graphs, "bytes": found.bytes, **kept})
    elif clear:
        print(f"Removed {found.graphs} compiled graphs, {found.bytes / 1e6:.0f} MB.")
    else:
        limit = f"at most {compiled.LIMIT_BYTES / 1e9:.1f} GB, then the least recently used go"
        print(f"{found.graphs} compiled graphs, {found.bytes / 1e6:.0f} MB ({limit}), in {compiled.home()}")
    return DONE


def _convert(card: ModelCard, precision: str, as_json: bool) -> int:
    """Make the graphs that OpenVINO draws with ahead of the first picture, where OpenVINO is what draws."""
    from engine.backends import openvino
    from engine.backends.choice import choose, devices, tried
    from engine.pipelines import components_of

    def report(what: str, done: float) -> None:
        if as_json:
            print_json(Preparing(what=what, done=done))
        else:
            status(f"{what}: {done:.0%}")

    backend = "auto" if precision == "auto" else "openvino"
    device = choose(tried(devices(), backend, precision, report), backend, precision)
    if device.backend != "openvino":
        print(f"There is nothing to convert: {device.name} draws with the model as it is.")
        return DONE
    openvino.prepare(components_of(card), device.precisions[0], report)
    if not as_json:
        status("")
        print(f"{card.name} is ready in {device.precisions[0]}.")
    return DONE


def _print_card(card: ModelCard, as_json: bool) -> None:
    if as_json:
        print_json(card)
        return
    what = card.broken or f"{card.family}, {card.native_size} pixels, {card.size_bytes / 1e6:.0f} MB"
    print(f"{card.name}\t{what}\t{card.path}")
