import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.library.catalogue import Catalogue, Found, Place, Stamp
from engine.library.hashes import hash_next
from engine.messages import Describe, Entry
from tests.weights import LORA, look, weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], Catalogue]]:
    """Opens the test's catalogue, as often as it is asked to."""
    all_of_them: list[Catalogue] = []

    def open_it() -> Catalogue:
        all_of_them.append(Catalogue(tmp_path / "home 家" / "library.sqlite"))
        return all_of_them[-1]

    yield open_it
    for each in all_of_them:
        each.close()


Open = Callable[[], Catalogue]


def _found(path: str, number: int = 1) -> Found:
    entry = Entry(
        path=path, name=Path(path).stem, sort="lora", family="sd1", rests_on="a tensor " * 5, size_bytes=number
    )
    return Found(entry, Place(str(Path(path).parent), "/m", "/"), Stamp(number, number, number, 0, 1))


def _filled(catalogue: Catalogue, count: int) -> list[str]:
    paths = [f"/m/{number % 20:02}/很好 {number:05} 🎨.safetensors" for number in range(count)]
    catalogue.put(_found(path, number) for number, path in enumerate(paths))
    return paths


def test_what_the_person_says_goes_over_the_guess_and_stays(opened: Open) -> None:
    catalogue = opened()
    (path,) = _filled(catalogue, 1)
    told = catalogue.describe(
        Describe(
            path=path, name="我的", notes="<b>好</b>", tags=("a", "b"), starred=True, sort="controlnet", family="sdxl"
        )
    )
    assert (told.name, told.notes, told.tags, told.starred) == ("我的", "<b>好</b>", ("a", "b"), True)
    assert (told.sort, told.family) == ("controlnet", "sdxl")
    assert told.rests_on.startswith("You said so. a tensor")
    catalogue.put([_found(path, 0)])
    assert opened().entry(path) == told
    back = catalogue.describe(Describe(path=path, sort="", family="", starred=False))
    assert (back.sort, back.family, back.starred, back.notes) == ("lora", "sd1", False, "<b>好</b>")


def test_an_answer_settles_its_question_and_can_be_taken_back(opened: Open) -> None:
    catalogue = opened()
    entry = Entry(
        path="/m/a.safetensors",
        name="a",
        sort="checkpoint",
        family="sd2",
        questions=(("prediction", ("v-prediction", "epsilon")), ("few steps", ("no", "LCM"))),
    )
    catalogue.put([Found(entry, Place("/m", "/m", "/"), Stamp(1, 1, 1, 0, 1))])
    answered = catalogue.describe(Describe(path=entry.path, answers=(("prediction", "v-prediction"),)))
    assert answered.variants == ("v-prediction",)
    assert [about for about, _ in answered.questions] == ["few steps"]
    assert answered.answers == (("prediction", "v-prediction"),)
    assert catalogue.describe(Describe(path=entry.path, answers=(("prediction", ""),))) == entry


@pytest.mark.parametrize("words", [{"sort": "nothing"}, {"family": "nothing"}, {"name": "x" * 300}])
def test_words_that_mean_nothing_are_refused(opened: Open, words: dict[str, str]) -> None:
    catalogue = opened()
    (path,) = _filled(catalogue, 1)
    with pytest.raises(BadInput):
        catalogue.describe(Describe(path=path, **words))  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="not in the library"):
        catalogue.describe(Describe(path="/nothing", notes="x"))


def test_ten_thousand_entries_are_read_at_once(opened: Open) -> None:
    catalogue = opened()
    paths = _filled(catalogue, 10_000)
    for path in paths[:100]:
        catalogue.describe(Describe(path=path, starred=True))
    begun = time.process_time()
    again = opened()
    found = again.entries()
    seconds = time.process_time() - begun
    assert len(found) == 10_000
    assert sum(entry.starred for entry in found) == 100
    assert seconds < 0.6  # 0.2 on an idle machine


def _torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def _garbage(file: Path) -> None:
    file.write_bytes(b"this is no database " * 999)


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _flipped(file: Path) -> None:
    content, chance = bytearray(file.read_bytes()), random.Random(3)
    for _ in range(3000):
        content[chance.randrange(4096, len(content))] = chance.randrange(256)
    file.write_bytes(content)


def _newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "aside"),
    [(_torn, "spoiled"), (_garbage, "spoiled"), (_flipped, "spoiled"), (_newer, "newer-99"), (_empty, "")],
)
def test_a_harmed_database_is_put_aside_and_nothing_said_is_lost(
    opened: Open, tmp_path: Path, harm: Callable[[Path], None], aside: str
) -> None:
    catalogue = opened()
    folder = tmp_path / "models"
    files = [weights(folder / f"{number}.safetensors", fill=number) for number in range(50)]
    catalogue.add_root(folder)
    look(catalogue)
    catalogue.describe(Describe(path=str(files[0]), notes="unhashed"))
    while hash_next(catalogue):
        pass
    catalogue.describe(Describe(path=str(files[1]), tags=("hashed",), family="sdxl"))
    catalogue.close()
    home = tmp_path / "home 家"
    harm(home / "library.sqlite")
    harmed = (home / "library.sqlite").read_bytes()
    again = opened()
    assert again.roots() == [str(folder)]
    if aside:
        assert (home / f"library.{aside}.sqlite").read_bytes() == harmed
        assert "kept" in again.note
    look(again)
    for _ in range(2):  # at first by their paths, then by their hashes
        assert again.entry(str(files[0])).notes == "unhashed"  # pyright: ignore[reportOptionalMemberAccess]
        told = again.entry(str(files[1]))
        assert told is not None
        assert (told.tags, told.family) == (("hashed",), "sdxl")
        while hash_next(again):
            pass


def test_words_that_were_spoiled_within_the_database_come_from_the_second_copy(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = _filled(catalogue, 1)[0]
    catalogue.describe(Describe(path=path, notes="好"))
    catalogue.close()
    with sqlite3.connect(tmp_path / "home 家" / "library.sqlite") as connection:
        connection.execute("UPDATE said SET words = 'no json'")
    connection.close()
    again = opened()
    assert again.note
    again.put([_found(path, 0)])
    assert again.entries()[0].notes == "好"


def test_an_entry_that_was_spoiled_is_read_again(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    weights(tmp_path / "models" / "a.safetensors")
    weights(tmp_path / "models" / "b.safetensors")
    catalogue.add_root(tmp_path / "models")
    look(catalogue)
    with sqlite3.connect(tmp_path / "home 家" / "library.sqlite") as connection:
        connection.execute("UPDATE files SET entry = x'ff00' WHERE path LIKE '%a.safetensors'")
    connection.close()
    assert [entry.name for entry in catalogue.entries()] == ["b"]
    look(catalogue)
    assert [entry.name for entry in catalogue.entries()] == ["a", "b"]


def test_a_second_copy_that_is_garbage_is_set_aside(opened: Open, tmp_path: Path) -> None:
    opened().close()
    kept = tmp_path / "home 家" / "library-said.json"
    kept.write_text("{not json")
    (tmp_path / "home 家" / "library.sqlite").unlink()
    assert opened().entries() == []
    assert kept.with_name("library-said.spoiled.json").read_text() == "{not json"


_WRITER = """
import sys
from pathlib import Path
from engine.library.catalogue import Catalogue
from engine.messages import Describe
catalogue = Catalogue(Path(sys.argv[1]))
for number in range(int(sys.argv[4])):
    catalogue.describe(Describe(path=sys.argv[2], answers=((f"{sys.argv[3]}{number}", "yes"),)))
    print(number, flush=True)
"""


def _writer(home: Path, path: str, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(home / "library.sqlite"), path, name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_write_at_once_and_nothing_is_lost(opened: Open, tmp_path: Path) -> None:
    home = tmp_path / "home 家"
    path = _filled(opened(), 1)[0]
    writers = [_writer(home, path, name, 25) for name in "ab"]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert errors == ""
    expected = {f"{name}{number}" for name in "ab" for number in range(25)}
    assert {about for about, _ in opened().entries()[0].answers} == expected
    (kept,) = json.loads((home / "library-said.json").read_text(encoding="utf-8"))["said"]
    assert {about for about, _ in kept["words"]["answers"]} == expected


def test_two_processes_make_a_new_one_at_once(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from engine.library.catalogue import Catalogue; "
    code += "print(Catalogue(Path(sys.argv[1])).note)"
    command = [sys.executable, "-c", code, str(tmp_path / "library.sqlite")]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [each.communicate(timeout=120) for each in both] == [("\n", ""), ("\n", "")]


def test_what_was_acknowledged_outlives_a_kill(opened: Open, tmp_path: Path) -> None:
    home = tmp_path / "home 家"
    path = _filled(opened(), 1)[0]
    for number in range(3):
        writer = _writer(home, path, f"{number}-", 10**6)
        assert writer.stdout is not None
        last = [writer.stdout.readline() for _ in range(3 + 2 * number)][-1]
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        writer.stderr.close()  # pyright: ignore[reportOptionalMemberAccess]
        again = opened()
        assert again.note == ""
        said = {about for about, _ in again.entries()[0].answers}
        assert {f"{number}-{each}" for each in range(int(last) + 1)} <= said
        with sqlite3.connect(home / "library.sqlite") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert not [name for name in os.listdir(home) if "spoiled" in name]


def test_hashes_are_those_of_other_programs(opened: Open, tmp_path: Path) -> None:
    import hashlib

    catalogue = opened()
    path = weights(tmp_path / "m" / "a.safetensors", LORA, fill=7)
    big = tmp_path / "m" / "b.ckpt"
    big.write_bytes(b"GGUF" + bytes(range(256)) * 6000)
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    assert {hash_next(catalogue).name, hash_next(catalogue).name} == {"a", "b"}  # pyright: ignore[reportOptionalMemberAccess]
    assert hash_next(catalogue) is None
    content = path.read_bytes()
    whole, data = hashlib.sha256(content).hexdigest(), hashlib.sha256(b"\7" * 2 * 2176).hexdigest()
    assert catalogue.entry(str(path)).sha256 == whole  # pyright: ignore[reportOptionalMemberAccess]
    old = hashlib.sha256(big.read_bytes()[0x100000:0x110000]).hexdigest()[:8]
    for digits, name in ((whole[:10], "a"), (f"0x{whole.upper()}", "a"), (data[:12], "a"), (old, "b")):
        assert [entry.name for entry in catalogue.called(digits)] == [name]
    for digits in ("", "abc", "zzzzzzzzzz", "%", "0" * 64):
        assert catalogue.called(digits) == []


def test_the_same_content_twice_is_told(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    files = [
        weights(tmp_path / "m" / f"{name}.safetensors", fill=fill) for name, fill in (("a", 1), ("b", 2), ("c", 1))
    ]
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    while hash_next(catalogue):
        pass
    assert [entry.twins for entry in catalogue.entries()] == [(str(files[2]),), (), (str(files[0]),)]
    files[2].unlink()
    look(catalogue)
    assert [entry.twins for entry in catalogue.entries()] == [(), ()]


def test_words_follow_a_moved_file_before_it_is_counted(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = weights(tmp_path / "m" / "a.safetensors")
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    catalogue.describe(Describe(path=str(path), notes="moves along"))
    other = tmp_path / "m" / "sub 子" / "b.safetensors"
    other.parent.mkdir()
    path.rename(other)
    moved = look(catalogue)
    assert moved.gone == (str(path),)
    assert [(entry.path, entry.notes) for entry in catalogue.entries()] == [(str(other), "moves along")]


def test_words_and_hashes_follow_a_file_that_was_counted(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = weights(tmp_path / "m" / "a.safetensors")
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    catalogue.describe(Describe(path=str(path), notes="moves along"))
    counted = hash_next(catalogue)
    assert counted is not None
    path.rename(path.with_name("b.safetensors"))
    (renamed,) = look(catalogue).changed
    assert (renamed.name, renamed.notes, renamed.sha256) == ("b", "moves along", counted.sha256)
    elsewhere = tmp_path / "m" / "c.safetensors"  # as from another drive: other number, other time
    elsewhere.write_bytes(path.with_name("b.safetensors").read_bytes())
    path.with_name("b.safetensors").unlink()
    os.utime(elsewhere, (5, 5))
    (copied,) = look(catalogue).changed
    assert (copied.name, copied.notes) == ("c", "")
    assert hash_next(catalogue).notes == "moves along"  # pyright: ignore[reportOptionalMemberAccess]


def test_another_file_under_the_same_name_does_not_inherit_words(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = weights(tmp_path / "m" / "a.safetensors", fill=1)
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    catalogue.describe(Describe(path=str(path), family="sdxl"))
    hash_next(catalogue)
    weights(path, LORA)
    assert look(catalogue).changed[0].family == "sd1"
    weights(path, fill=2)
    look(catalogue)
    assert hash_next(catalogue).family == "sd1"  # pyright: ignore[reportOptionalMemberAccess]


def test_counting_stops_within_a_file_and_skips_what_changed(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = tmp_path / "m" / "a.safetensors"
    weights(path, {"x": (1024, 2048)})
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    asked = iter([False, False, False, True])
    assert hash_next(catalogue, lambda: next(asked)) is None
    assert catalogue.unhashed() is not None
    os.utime(path, (1, 1))
    assert hash_next(catalogue) is None
    look(catalogue)
    assert hash_next(catalogue) is not None
    path.unlink()
    assert hash_next(catalogue) is None


def test_a_model_folder_is_counted_as_one(opened: Open, tiny_model: Path, tmp_path: Path) -> None:
    import shutil

    catalogue = opened()
    for name in ("one", "two"):
        shutil.copytree(tiny_model, tmp_path / "m" / name)
    catalogue.add_root(tmp_path / "m")
    look(catalogue)
    while hash_next(catalogue):
        pass
    assert [entry.twins for entry in catalogue.entries()] == [
        (str(tmp_path / "m" / "two"),),
        (str(tmp_path / "m" / "one"),),
    ]


def test_a_name_is_looked_up_by_an_index_and_words_of_the_person_count(opened: Open) -> None:
    catalogue = opened()
    paths = _filled(catalogue, 10_000)
    catalogue.describe(Describe(path=paths[7], name="Größe 大"))
    begun = time.process_time()
    for name in ("很好 07777 🎨", "GRÖSSE 大", "很好 00007 🎨.safetensors", "07/很好 00007 🎨"):
        (found,) = catalogue.named(name)
        assert found.path == paths[7777 if "7777" in name else 7]
    assert catalogue.named("很好") == catalogue.named("") == catalogue.named("06/很好 00007 🎨") == []
    assert time.process_time() - begun < 0.1  # all entries are read in 0.2


def test_a_catalogue_of_the_first_version_goes_on(opened: Open, tmp_path: Path) -> None:
    catalogue = opened()
    path = weights(tmp_path / "models" / "Old.safetensors")
    catalogue.add_root(tmp_path / "models")
    look(catalogue)
    hash_next(catalogue)
    catalogue.describe(Describe(path=str(path), notes="好"))
    catalogue.close()
    with sqlite3.connect(tmp_path / "home 家" / "library.sqlite") as connection:
        for statement in (
            "DROP INDEX files_of_a_title", "DROP INDEX files_of_a_stem", "ALTER TABLE files DROP COLUMN title",
            "ALTER TABLE files DROP COLUMN stem", "UPDATE files SET reader = 1", "PRAGMA user_version = 1",
        ):  # fmt: skip
            connection.execute(statement)
    connection.close()
    again = opened()
    assert again.note == ""
    look(again)
    (found,) = again.named("old")
    assert (found.notes, len(found.sha256)) == ("好", 64)
