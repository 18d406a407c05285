"""Mutated model files against the readers: `make fuzz-models`, or `python -m tests.fuzz.models --headers N`.

Every input is a file that a forked child reads, with 2 s and 256 MB of its own; many share a child, and a child that
dies names the one it died of. A reader may give a header or raise BadInput: anything else fails the run, and so does
every sign that something was run: the interpreter announces each import, call of the system and file that is opened.
"""

import argparse
import encodings.ascii
import encodings.latin_1
import encodings.raw_unicode_escape  # noqa: F401  read now: the codecs that a pickle may name are no sign of harm
import os
import random
import resource
import signal
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize

from engine.errors import BadInput
from engine.formats.pickles import read_pickle
from engine.formats.safetensors import SIZES, read_header
from tests.fuzz.seeds import headers, pickles

SECONDS, MEGABYTES = 2, 256
BATCH = 2000
KEPT = Path(__file__).parent / "found"
_ALLOWED = ("open", "object.__getattr__", "tempfile.mkdtemp", "time.sleep")
_TOKENS = (
    *(bytes((sign,)) for sign in b'"{}[],:\\<\0\xff().}02QbsuaecRt\x93'),
    *b'\\u0000 \\ud800 -1 1e9 99999999999999999999 null true NaN "dtype" "shape" "data_offsets" "F4" ../'.split(),
    b'"__metadata__"', b"PK\5\6", b"PK\3\4", b"\x85R", b"q\0", b"h\0", b"\x80\2", b")R", b"\x8a\xff",
    b"\xff\xff\xff\xff",
    b"\x8b\xff\xff\xff\x7f", b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n",
)  # fmt: skip


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """One to six changes: bits, bytes, pieces cut, doubled, moved or swapped for words of the forms."""
    data = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((1, 1, 2, 4, 8, 40)))
        match rng.randrange(8):
            case 0 if place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(data):
                data[place] = rng.randrange(256)
            case 2:
                del data[place:end]
            case 3:
                data[place:place] = data[place:end] * rng.choice((1, 2, 50))
            case 4:
                data[place:end] = rng.choice(_TOKENS)
            case 5:
                data[place:place] = rng.choice(_TOKENS)
            case 6:
                data[place:end] = struct.pack("<Q", rng.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)))[
                    : end - place
                ]
            case _:
                del data[rng.randrange(len(data) // 2, len(data) + 1) :]
    return bytes(data)


def mutated_header(seed: bytes, rng: random.Random) -> bytes:
    """A mutated file; in most, the length and the data are made to fit again, so that the JSON is what is wrong."""
    (length,) = struct.unpack_from("<Q", seed)
    if rng.random() < 0.25:
        return mutated(seed, rng)
    text = mutated(seed[8 : 8 + length], rng)
    return struct.pack("<Q", len(text)) + text + seed[8 + length :]


def check_header(path: Path, content: bytes) -> str:
    """What came of it. What we take, the format's own library must take."""
    header = read_header(path)
    try:
        reference = dict(deserialize(content))
    except SafetensorError as error:
        raise AssertionError(f"taken here, refused there: {error}") from error
    ours = {name: [*tensor.shape] for name, tensor in header.tensors.items()}
    assert {name: said["shape"] for name, said in reference.items()} == ours
    return "read"


def check_pickle(path: Path, content: bytes) -> str:
    """What came of it. Every tensor lies in the file."""
    found = read_pickle(path)
    for tensor in found.tensors.values():
        assert tensor.begin >= 0
        assert tensor.begin + tensor.span <= len(content)
    assert sum(each.numbers * SIZES[each.dtype] for each in found.tensors.values()) <= 2 * len(content) + 2**20
    return "read"


class Kind:
    """One reader, what it is fed with, and how."""

    def __init__(
        self, name: str, count: int, check: Callable[[Path, bytes], str], mutate: Callable[..., bytes]
    ) -> None:
        self.name, self.count, self.check, self.mutate = name, count, check, mutate
        self.seeds = headers() if name == "headers" else pickles()

    def content(self, seed: int, number: int) -> bytes:
        """The same for the same two numbers, on every machine."""
        rng = random.Random(f"{self.name} {seed} {number}")
        return self.mutate(rng.choice(self.seeds), rng)


def _watched(folder: Path, canary: list[str]) -> None:
    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        inside = event == "open" and (isinstance(arguments[0], int) or str(arguments[0]).startswith(str(folder)))
        if canary and canary[0] == "on" and not inside and event not in _ALLOWED[1:]:
            canary.append(f"{event} {arguments!r}"[:200])

    sys.addaudithook(watch)


def _child(kind: Kind, seed: int, numbers: range, shared: mmap, folder: Path) -> None:
    """Read every input of the batch; the shared memory holds the number at work, the slowest and how many ended how."""
    canary: list[str] = [""]
    _watched(folder, canary)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEGABYTES * 2**20, resource.RLIM_INFINITY))
    path = folder / "model.ckpt"
    slowest, ends = 0.0, Counter[str]()
    for number in numbers:
        content = kind.content(seed, number)
        path.write_bytes(content)
        shared[:8] = struct.pack("<q", number)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        canary[0], begun = "on", time.perf_counter()
        try:
            end = kind.check(path, content)
        except BadInput:
            end = "refused"
        canary[0], taken = "", time.perf_counter() - begun
        signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, taken)
        ends[end] += 1
        assert len(canary) == 1, f"something was run: {canary[1:]}"
    shared[8:40] = struct.pack("<dqqq", slowest, ends["read"], ends["refused"], 1)


def _forked(kind: Kind, seed: int, numbers: range, folder: Path) -> tuple[str, float, int, int]:
    """How the batch ended: what went wrong, the slowest in seconds, how many were read and how many refused."""
    shared = mmap(-1, 64)
    child = os.fork()
    if child == 0:
        try:
            _child(kind, seed, numbers, shared, folder)
            os._exit(0)
        finally:  # whatever was raised is what we look for; it must not go on in the parent's name
            sys.excepthook(*sys.exc_info())  # pyright: ignore[reportArgumentType]
            os._exit(1)
    _, status = os.waitpid(child, 0)
    (number,) = struct.unpack("<q", shared[:8])
    slowest, read, refused, _ = struct.unpack("<dqqq", shared[8:40])
    if status == 0:
        return "", slowest, read, refused
    why = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an error"
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{kind.name}-{seed}-{number}.bin").write_bytes(kind.content(seed, number))
    return f"{kind.name} {number}: {why}", 0.0, 0, 0


def run(kind: Kind, seed: int) -> bool:
    """Feed the reader, and print a line of the table; whether all went well."""
    faults: list[str] = []
    slowest, read, refused, begun = 0.0, 0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as place:
        for first in range(0, kind.count, BATCH):
            fault, slow, taken, not_taken = _forked(
                kind, seed, range(first, min(kind.count, first + BATCH)), Path(place)
            )
            faults += [fault] if fault else []
            slowest, read, refused = max(slowest, slow), read + taken, refused + not_taken
    seconds = time.monotonic() - begun
    print(
        f"| {kind.name} | {read + refused:,} | {read:,} | {refused:,} | {len(faults)} | {slowest * 1000:.0f} ms |"
        f" {seconds:.0f} s |",
        flush=True,
    )
    for fault in faults:
        print(f"  {fault}; its file is kept in {KEPT}")
    return not faults


def main() -> int:
    """Both readers, one after the other; 1 where anything went wrong."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--headers", type=int, default=1_000_000)
    asked.add_argument("--pickles", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=1)
    said = asked.parse_args()
    print(f"Limits for each: {SECONDS} s, {MEGABYTES} MB. Seed {said.seed}.")
    print("| files | read by the thing under test | taken | refused in a sentence | faults | slowest | all |")
    print("|---|---|---|---|---|---|---|", flush=True)
    kinds = (
        Kind("headers", said.headers, check_header, mutated_header),
        Kind("pickles", said.pickles, check_pickle, mutated),
    )
    done = [run(kind, said.seed) for kind in kinds]
    return 0 if all(done) else 1


if __name__ == "__main__":
    sys.exit(main())
