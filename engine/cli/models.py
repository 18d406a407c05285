"""The verb “models”: what is in the library, and what can be done with it."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from engine import keeping
from engine.cli.merge import add as add_merge
from engine.cli.merge import run as run_merge
from engine.cli.terminal import finish, print_json, status
from engine.errors import BAD_INPUT, DONE, BadInput, EaselError, closest
from engine.families import FAMILIES
from engine.library import entries, index, intake, roots
from engine.library.catalogue import Catalogue
from engine.library.conversions import with_conversions
from engine.library.guess import KINDS
from engine.library.named import file_at
from engine.library.scan import scan
from engine.manners import keep_to, wanted
from engine.messages import Entry, Failed, ModelCard, Preparing
from engine.settings import Preferences

_ACTIONS = ("list", "scan", "add", "info", "convert", "merge", "remove", "cache")


def add(verb: argparse.ArgumentParser) -> None:
    """Its actions and their flags."""
    verb.add_argument("action", nargs="?", choices=_ACTIONS, default="list")
    verb.add_argument("names", nargs="*", metavar="NAME", help="names, paths or hashes; with “add”: files and folders")
    verb.add_argument("--kind", choices=KINDS, metavar="KIND", help=f"with “list”: {', '.join(KINDS)}")
    verb.add_argument("--family", metavar="NAME", help=f"with “list”: {', '.join(FAMILIES)}")
    ways = verb.add_mutually_exclusive_group()
    for how, words in (("use", "use it where it lies"), ("copy", "copy it, if none is given"), ("move", "move it")):
        ways.add_argument(f"--{how}", dest="how", action="store_const", const=how, help=f"with “add”: {words}")
    verb.add_argument("--yes", action="store_true", help="with “remove”: do not ask")
    verb.add_argument(
        "--precision",
        choices=("auto", "int8", "fp16", "bf16", "fp32"),
        default="auto",
        help="what to convert for, or the numbers of what is merged: fp16 if not given",
    )
    add_merge(verb)
    verb.add_argument("--clear", action="store_true", help="with “cache”: remove the compiled graphs")
    finish(verb, _run)


def _run(chosen: argparse.Namespace) -> int:
    if chosen.action == "cache":
        return _cache(clear=chosen.clear, as_json=chosen.json)
    if chosen.action in ("list", "scan"):
        if chosen.names:
            raise BadInput(f"“{chosen.action}” takes no name.", "Use “info NAME” for one of them.")
        return _list(chosen) if chosen.action == "list" else _scan(chosen.json)
    if not chosen.names:
        raise BadInput(f"Which model is “{chosen.action}” for?", "Name one; “easel models” lists them.")
    verb = {"add": _add, "info": _info, "convert": _convert, "merge": run_merge, "remove": _remove}[chosen.action]
    return verb(chosen)


@contextmanager
def _library() -> Iterator[Catalogue]:
    """The catalogue, closed at the end."""
    catalogue = Catalogue()
    try:
        if catalogue.note:
            print(catalogue.note, file=sys.stderr)
        yield catalogue
    finally:
        catalogue.close()


def _look_around(catalogue: Catalogue) -> tuple[int, int, int]:
    """Bring the catalogue up to date; how many files there are, how many were read, how many are gone."""
    files = changed = gone = 0
    for event in scan(catalogue, roots.roots(catalogue.roots())):
        files, changed, gone = event.files, changed + len(event.changed), gone + len(event.gone)
        status(f"Looking through the folders: {files} files")
    status("")
    return files, changed, gone


def find(name: str) -> ModelCard:
    """The model of that name, after a look around where it is not known yet. Raises BadInput."""
    try:
        return index.find(name)
    except index.Unknown:
        with _library() as catalogue:
            _look_around(catalogue)
        return index.find(name)


def _list(chosen: argparse.Namespace) -> int:
    if chosen.family and chosen.family not in FAMILIES:
        raise BadInput(f"“{chosen.family[:40]}” is no family.", closest(chosen.family, list(FAMILIES)))
    with _library() as catalogue:
        _look_around(catalogue)
        for entry in with_conversions(catalogue.entries()):
            if chosen.kind in (None, entry.sort) and chosen.family in (None, entry.family):
                print_json(entry) if chosen.json else print(_line(entry))
    return DONE


def _scan(as_json: bool) -> int:
    with _library() as catalogue:
        files, changed, gone = _look_around(catalogue)
    if as_json:
        print_json({"files": files, "changed": changed, "gone": gone})
    else:
        print(f"{files} files, {changed} of them new or changed; {gone} are gone.")
    return DONE


def _add(chosen: argparse.Namespace) -> int:
    """Every file that can be taken in is; the exit code is that of bad input where one could not."""
    code = DONE
    with _library() as catalogue:
        if chosen.how == "use":
            for name in chosen.names:
                intake.use(Path(name).expanduser().absolute(), catalogue)
        else:
            how = "move" if chosen.how == "move" else "copy"
            files = [Path(name).expanduser().absolute() for name in chosen.names]
            for taken in intake.take_in(files, how, lambda what, done: _report(chosen.json, what, done)):
                status("")
                if taken.trouble:
                    print(" ".join(str(taken.trouble).split()), file=sys.stderr)
                    code = BAD_INPUT
                elif not chosen.json:
                    print(taken.path)
        known = {entry.path for entry in catalogue.entries()}
        _look_around(catalogue)
        new = [entry for entry in with_conversions(catalogue.entries()) if entry.path not in known]
    for entry in new:
        if chosen.json:
            print_json(entry)
        elif chosen.how == "use":
            print(_line(entry))
    return code


def _info(chosen: argparse.Namespace) -> int:
    with _library() as catalogue:
        _look_around(catalogue)
        for name in chosen.names:
            (entry,) = with_conversions([_at(name, catalogue) or _found(name, catalogue)])
            print_json(entry) if chosen.json else _describe(entry)
    return DONE


def _at(name: str, catalogue: Catalogue) -> Entry | None:
    """What a file is taken for that lies outside the library; None for any other name."""
    path = file_at(name)
    if path is None or catalogue.entries_at([str(path), str(Path(name).expanduser().absolute())]):
        return None
    about = path.stat()
    return structs.replace(entries.of_file(path), size_bytes=about.st_size, changed=about.st_mtime)


def _remove(chosen: argparse.Namespace) -> int:
    with _library() as catalogue:
        added, names = catalogue.roots(), list[str]()
        for name in chosen.names:
            folder = Path(name).expanduser().absolute()
            if str(folder) not in added:
                names.append(name)
                continue
            catalogue.remove_root(folder)
            print_json({"folder": str(folder)}) if chosen.json else print(f"{folder} is used no more, and as it was.")
        _look_around(catalogue)
        for entry in [_found(name, catalogue) for name in names]:
            if not chosen.yes and not _is_meant(entry):
                print(f"{entry.name} stays.")
                continue
            intake.discard(Path(entry.path))
            catalogue.drop([entry.path])
            print_json(entry) if chosen.json else print(f"{entry.name} is in the trash.")
    return DONE


def _is_meant(entry: Entry) -> bool:
    if not sys.stdin.isatty():
        raise BadInput(f"Nobody is here to be asked whether “{entry.name}” is to go.", "Use --yes.")
    print(f"Put “{entry.name}” ({entry.path}) into the trash? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _found(name: str, catalogue: Catalogue) -> Entry:
    """The one entry of that path, name, file name or hash. Raises BadInput for none, and for several."""
    at = catalogue.entry(str(Path(name).expanduser().absolute()))
    found = [at] if at else catalogue.named(name) or catalogue.called(name)
    if not found:
        names = [entry.name for entry in catalogue.entries()]
        raise BadInput(f"There is no model named “{name[:80]}”.", closest(name, names))
    if len(found) > 1:
        raise BadInput(f"“{name[:80]}” is the name of {len(found)}.", f"Give the path, as in “{found[0].path}”.")
    return found[0]


def _line(entry: Entry) -> str:
    if entry.state != "here":
        return f"{entry.name}\t{entry.state}: {entry.trouble}\t{entry.path}"
    what = ", ".join(part for part in (entry.sort, entry.family, *entry.variants) if part)
    return f"{entry.name}\t{what}, {entry.size_bytes / 1e6:.0f} MB\t{entry.path}"


def _describe(entry: Entry) -> None:
    facts = {
        "name": entry.name,
        "path": entry.path,
        "kind": entry.sort,
        "family": entry.family,
        "details": ", ".join(entry.variants),
        "rests on": entry.rests_on,
        "not known": "; ".join(f"{about}: {' or '.join(choices)}" for about, choices in entry.questions),
        entry.state: entry.trouble,
        "size": f"{entry.size_bytes / 1e6:.0f} MB",
        "sha256": entry.sha256,
        "trigger words": ", ".join(entry.trigger_words),
        "tags": ", ".join(entry.tags),
        "notes": entry.notes,
        "converted": ", ".join(entry.converted),
        "the same as": ", ".join(entry.twins),
    }
    for name, value in facts.items():
        if value:
            print(f"{name}: {value}")


# ---------------------------------------------------------------- OpenVINO


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


def _convert(chosen: argparse.Namespace) -> int:
    """Make the graphs that OpenVINO draws with ahead of the first picture, where OpenVINO is what draws."""
    keep_to(wanted(keeping.read(Preferences)))
    for name in chosen.names:
        try:
            _convert_one(name, chosen.precision, chosen.json)
        except EaselError as error:
            if chosen.json:
                fault = "request" if isinstance(error, BadInput) else "engine"
                print_json(Failed(cause=error.cause, advice=error.advice, where=error.where, fault=fault))
            raise
    return DONE


def _convert_one(name: str, precision: str, as_json: bool) -> None:
    card = find(name)  # before anything heavy is imported
    from engine.backends import openvino
    from engine.backends.choice import choose, devices, tried
    from engine.pipelines import components_of

    last = Preparing(what="")

    def report(what: str, done: float) -> None:
        nonlocal last
        step = Preparing(what=what, done=round(done, 3))
        if step != last:
            _report(as_json, step.what, step.done)
        last = step

    backend = "auto" if precision == "auto" else "openvino"
    device = choose(tried(devices(), backend, precision, report), backend, precision)
    if device.backend != "openvino":
        print(f"There is nothing to convert: {device.name} draws with the model as it is.")
        return
    openvino.prepare(components_of(card), device.precisions[0], report)
    if not as_json:
        status("")
        print(f"{card.name} is ready in {device.precisions[0]}.")


def _report(as_json: bool, what: str, done: float) -> None:
    print_json(Preparing(what=what, done=done)) if as_json else status(f"{what}: {done:.0%}")
