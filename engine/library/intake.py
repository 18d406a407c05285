"""Bringing files into Easel's own folders, whole or not at all, and taking entries out of the library again."""

import filecmp
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from engine import paths
from engine.errors import BadInput, EaselError
from engine.formats.suffixes import SUFFIXES
from engine.library import entries, roots
from engine.library.catalogue import Catalogue
from engine.library.guess import KINDS, Kind

Report = Callable[[str, float], None]
"""Told what is being done and how much of it is, from 0 to 1; raises Cancelled where it is to stop."""

BESIDE = (
    ".civitai.info", ".metadata.json", ".cm-info.json", ".json", ".yaml", ".yml", ".txt", ".description.txt",
    *(f"{word}{kind}" for word in (".preview", ".thumb", "") for kind in (".png", ".jpg", ".jpeg", ".webp")),
)  # fmt: skip
"""What other programs put behind the stem of a model's file: cards, configurations, pictures."""
_CHUNK = 8 * 2**20
_SPARE = 300 * 10**6
"""Bytes on the disk that stay free for everything else."""


class Taken(NamedTuple):
    """What became of a file or a model folder that was to be taken in."""

    path: Path
    """Where it lies now."""
    trouble: BadInput | None = None
    """Why it lies where it did."""


class _Item(NamedTuple):
    """A file or a model folder, the files that come with it, and their bytes."""

    path: Path
    beside: tuple[Path, ...]
    size: int


def folder_for(kind: Kind) -> Path:
    """Easel's own folder for files of a kind."""
    return paths.adapters(roots.FOLDERS[kind])[0] if kind in roots.FOLDERS else paths.models()


def take_in(chosen: Iterable[Path], how: Literal["copy", "move"], report: Report) -> Iterator[Taken]:
    """Copy or move files and model folders, and what is in other folders, each to where its kind belongs.

    Nothing is overwritten: what is there already stays, what only has the same name gets another one. One bad file
    does not stop the rest. Raises EaselError where the disk refuses, and whatever `report` raises; what is done by
    then stays, and nothing half-done.
    """
    items: list[_Item] = []
    for path in chosen:
        try:
            inside = _items(path)
            if not inside:
                advice = f"Easel takes {', '.join(SUFFIXES)} files and models in the form of diffusers."
                raise BadInput(f"There is no model in “{path.name}”.", advice, where=str(path))
            items += inside
        except BadInput as error:
            yield Taken(path, error)
    total, before = sum(item.size for item in items), 0
    for item in items:

        def tell(done: int, item: _Item = item, before: int = before) -> None:
            report(f"Taking in “{item.path.name}”", (before + done) / max(total, 1))

        tell(0)
        try:
            yield Taken(_brought(item, paths.ready(folder_for(kind_of(item.path))), how, tell))
        except BadInput as error:
            yield Taken(item.path, error)
        before += item.size


def use(path: Path, catalogue: Catalogue) -> None:
    """Use a folder where it lies, another program's too; of a file or a model folder, a link goes into Easel's own.

    Raises EaselError for what cannot be read, and where the system makes no links.
    """
    if not path.exists():
        raise BadInput(f"There is no file “{path}”.", "Check the name.", str(path))
    if (path.is_dir() and not is_model_folder(path)) or path.suffix.lower() in (".yaml", ".yml"):
        roots.behind(path)  # which says what is wrong with it
        catalogue.add_root(path)
    else:
        link(path, kind_of(path))


def kind_of(path: Path) -> Kind:
    """What a file or a model folder is, for the folder that it goes to. Raises BadInput for a broken one."""
    if path.is_dir():
        is_model = (path / "model_index.json").is_file()
        entry = entries.of_model(path) if is_model else entries.of_component(path)
    else:
        entry = entries.of_file(path, "unknown")
    if entry.state == "broken":
        raise BadInput(entry.trouble, "", where=str(path))
    return next(kind for kind in KINDS if kind == entry.sort)


def link(path: Path, kind: Kind) -> Path:
    """Use a file or a model folder where it lies: a link to it, where its kind belongs. Raises EaselError."""
    folder = paths.ready(folder_for(kind))
    if path.parent.resolve() == folder.resolve():
        return path
    there = next((each for each in folder.iterdir() if each.is_symlink() and each.resolve() == path.resolve()), None)
    if there is not None:
        return there
    target = next(_names(path, folder))
    try:
        target.symlink_to(path.resolve(), target_is_directory=path.is_dir())
        for each in beside(path):
            aside = target.with_name(f"{target.stem}{each.name.removeprefix(path.stem)}")
            if not os.path.lexists(aside):
                aside.symlink_to(each.resolve())
    except OSError as error:  # Windows asks for a right that few have
        raise EaselError(
            f"“{path.name}” cannot be used from where it lies ({_reason(error)}).",
            "Add the folder that it is in, or copy it.",
            where=str(path),
        ) from error
    return target


def is_model_folder(path: Path) -> bool:
    """Whether a folder is one model, and not one of many: in the form of diffusers."""
    if (path / "model_index.json").is_file():
        return True
    return (path / "config.json").is_file() and any(each.suffix in (".safetensors", ".bin") for each in path.iterdir())


def beside(path: Path) -> tuple[Path, ...]:
    """The files that lie beside a model's file for it."""
    if path.is_dir():
        return ()
    named = [path.with_name(f"{path.stem}{end}") for end in BESIDE] + [path.with_name(f"{path.name}.json")]
    return tuple(dict.fromkeys(each for each in named if each.is_file()))


def discard(path: Path) -> None:
    """Put a file or a model folder into the system's trash, with what lies beside it for it. Raises EaselError."""
    if path.is_relative_to(paths.RESOURCES):
        raise BadInput(f"“{path.name}” belongs to Easel itself.", "It goes when Easel is removed.", str(path))
    if not os.path.lexists(path):
        raise BadInput(f"“{path.name}” is not there any more.", "Look through the folders again.", str(path))
    from send2trash import send2trash

    along = beside(path)
    try:
        for each in (path, *along):
            send2trash(each)
    except OSError as error:
        raise EaselError(
            f"“{path.name}” could not be put into the trash ({_reason(error)}).",
            "Look whether another program uses it, or delete it in the system's own way.",
            where=str(path),
        ) from error


def _items(path: Path) -> list[_Item]:
    """The file or the model folder itself, or everything like it in a folder."""
    if not path.exists():
        raise BadInput(f"There is no file “{path}”.", "Check the name.", str(path))
    try:
        if path.is_file():
            along = beside(path)
            return [_Item(path, along, sum(each.stat().st_size for each in (path, *along)))]
        if is_model_folder(path):
            return [_Item(path, (), sum(file.stat().st_size for file in _files(path)))]
        inside = sorted(each for each in path.iterdir() if not each.name.startswith("."))
        found = [
            item
            for each in inside
            if (each.is_dir() and not each.is_symlink()) or each.suffix.lower() in SUFFIXES
            for item in _items(each)
        ]
    except OSError as error:
        raise _unread(path, error) from error
    return found


def _files(folder: Path) -> list[Path]:
    """Every file under a folder; links to files count as what they lead to."""
    return sorted(each for each in folder.rglob("*") if each.is_file())


def _brought(item: _Item, folder: Path, how: Literal["copy", "move"], tell: Callable[[int], None]) -> Path:
    twin = item.path if item.path.parent.resolve() == folder.resolve() else _twin(item, folder)
    if twin is not None:
        raise BadInput(
            f"“{item.path.name}” is in the library already, as “{twin.name}”.",
            "It stays where it is, and nothing was copied.",
            where=str(item.path),
        )
    if how == "move" and item.path.stat().st_dev == folder.stat().st_dev:
        target = _renamed(item.path, folder)
    else:
        _check_room(item, folder)
        target = _copied(item, folder, tell)
    for each in item.beside:
        aside = target.with_name(f"{target.stem}{each.name.removeprefix(item.path.stem)}")
        if not aside.exists():
            shutil.copy2(each, aside)
    if how == "move":
        _remove(item)
    return target


def _twin(item: _Item, folder: Path) -> Path | None:
    """What has the same content in the folder where it is to go."""
    if item.path.is_dir():
        there = folder / item.path.name
        files = [file.relative_to(item.path) for file in _files(item.path)]
        same = there.is_dir() and all(_is_same(item.path / file, there / file) for file in files)
        return there if same else None
    return next((each for each in sorted(folder.iterdir()) if each.is_file() and _is_same(item.path, each)), None)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _check_room(item: _Item, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < item.size + _SPARE:
        raise EaselError(
            f"“{item.path.name}” takes {item.size / 1e9:.1f} GB, and {free / 1e9:.1f} GB is free in “{folder}”.",
            "Free some space, or use it where it lies.",
            where=str(item.path),
        )


def _renamed(path: Path, folder: Path) -> Path:
    for target in _names(path, folder):
        try:
            if path.is_dir():
                path.rename(target)  # refused where a folder with something in it is
            else:
                os.link(path, target)
                path.unlink()
        except FileExistsError:
            continue
        except OSError as error:
            if target.exists():
                continue
            if not path.is_dir() and path.exists():  # a file system without hard links
                path.rename(target)
                return target
            raise paths.unwritten(target, error) from error
        return target
    raise AssertionError("names never end")


def _names(path: Path, folder: Path) -> Iterator[Path]:
    """The name itself, then name-2, name-3, where nothing is."""
    stem, suffix = (path.name, "") if path.is_dir() else (path.stem, path.suffix)
    number = 1
    while True:
        target = folder / f"{stem}{f'-{number}' if number > 1 else ''}{suffix}"
        if not os.path.lexists(target):
            yield target
        number += 1


def _copied(item: _Item, folder: Path, tell: Callable[[int], None]) -> Path:
    source = item.path
    part = folder / f".easel-{os.getpid()}-{source.name}{paths.PART}"
    done = 0
    try:
        for file in _files(source) if source.is_dir() else [source]:
            target = part / file.relative_to(source) if source.is_dir() else part
            target.parent.mkdir(parents=True, exist_ok=True)
            done = _copy(file, target, done, tell)
        if source.is_dir():
            target = next(_names(source, folder))
            part.rename(target)
        else:
            target = paths.publish(part, folder, source.stem)
        paths.sync(folder)
    except OSError as error:
        raise paths.unwritten(folder / source.name, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
    return target


def _copy(file: Path, target: Path, done: int, tell: Callable[[int], None]) -> int:
    """Copy the bytes and wait until they are on the disk; how many are done in all. Raises BadInput."""
    try:
        reading = file.open("rb")
    except OSError as error:
        raise _unread(file, error) from error
    with reading, target.open("wb") as writing:
        before = os.fstat(reading.fileno())
        while chunk := reading.read(_CHUNK):
            writing.write(chunk)
            done += len(chunk)
            tell(done)
        writing.flush()
        os.fsync(writing.fileno())
        after = os.fstat(reading.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise BadInput(
            f"“{file.name}” changed while it was read.", "Wait until it is whole, then try again.", str(file)
        )
    os.utime(target, ns=(after.st_atime_ns, after.st_mtime_ns))
    return done


def _remove(item: _Item) -> None:
    """What was moved, and is elsewhere by now."""
    try:
        for each in item.beside:
            each.unlink(missing_ok=True)
        if item.path.is_dir():
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)
    except OSError as error:
        raise EaselError(
            f"“{item.path.name}” was copied, but could not be removed from where it lay ({_reason(error)}).",
            "Remove it there yourself.",
            where=str(item.path),
        ) from error


def _unread(path: Path, error: OSError) -> BadInput:
    return BadInput(
        f"“{path.name}” cannot be read ({_reason(error)}).", "Allow reading it, or copy it anew.", str(path)
    )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
