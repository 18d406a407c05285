"""Prints how every case is judged: as it is, under other prefixes, in another order, with noise beside it."""

import random
import sys
from collections import Counter
from collections.abc import Iterator

from engine.formats.safetensors import Header, Tensor
from engine.library.guess import Guess
from engine.library.headers import guess_header
from tests.headers.adapters import adapters
from tests.headers.cases import Case
from tests.headers.foreigners import foreigners
from tests.headers.models import models
from tests.headers.others import others

NOISE = {
    "__index_timestep_zero__": Tensor("F32", (), 0, 0),
    "my_notes.weight": Tensor("F16", (3, 3), 0, 0),
    "optimizer.state.0.exp_avg": Tensor("F32", (77, 77), 0, 0),
    "zzz.running_mean": Tensor("F32", (9,), 0, 0),
}
GROUPS = {"models": models, "LoRAs": adapters, "others": others, "foreign families": foreigners}


def variations(case: Case) -> Iterator[Header]:
    """The case's header in every way that must not change the answer."""
    for prefix in case.turns:
        header = case.header(prefix)
        yield header
        mixed = list(header.tensors.items())
        random.Random(0).shuffle(mixed)
        yield header._replace(tensors=dict(mixed))
        if case.kind != "embedding" and len(mixed) > 1:  # which has nothing beside it
            yield header._replace(tensors={**NOISE, **header.tensors})


def verdict(case: Case, guess: Guess) -> str:
    """Either "right", "unknown" for less than could be told, or "wrong"."""
    asked = tuple(sorted(question.about for question in guess.questions))
    told = guess.kind == case.kind and guess.family == case.family and set(case.variants) <= set(guess.variants)
    if told and asked == tuple(sorted(case.asks)) and bool(guess.refusal) == case.refused:
        return "right"
    knows_less = guess.kind in (case.kind, "unknown") and guess.family in (case.family, "")
    return "unknown" if knows_less and not guess.refusal else "wrong"


def main() -> int:
    """Print the table; 1 where anything is not right."""
    total: Counter[str] = Counter()
    print(f"{'group':18} {'kinds':>6} {'headers':>8} {'right':>6} {'unknown':>8} {'wrong':>6}")
    for label, cases in GROUPS.items():
        kinds, found = 0, Counter[str]()
        for case in cases():
            kinds += 1
            for header in variations(case):
                guess = guess_header(header, case.name)
                found[verdict(case, guess)] += 1
                if verdict(case, guess) != "right":
                    print(f"  {verdict(case, guess)}: {case.label}: {guess}", file=sys.stderr)
        total += found + Counter(kinds=kinds)
        print(f"{label:18} {kinds:6} {found.total():8} {found['right']:6} {found['unknown']:8} {found['wrong']:6}")
    counts = (total["kinds"], total.total() - total["kinds"], total["right"], total["unknown"], total["wrong"])
    print(f"{'all':18} {counts[0]:6} {counts[1]:8} {counts[2]:6} {counts[3]:8} {counts[4]:6}")
    return int(counts[2] != counts[1])


if __name__ == "__main__":
    sys.exit(main())
