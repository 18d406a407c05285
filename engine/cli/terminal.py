"""How verbs speak: progress on the terminal's standard error, one JSON object a line on standard output."""

import argparse
import sys
from collections.abc import Callable

import msgspec


def finish(verb: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    """Give a verb what all have, and what it does."""
    verb.add_argument("--json", action="store_true", help="one JSON object a line")
    verb.set_defaults(run=run)


def status(text: str) -> None:
    """Replace the line of progress, where a person reads along."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Print a value as one line."""
    print(msgspec.json.encode(value).decode(), flush=True)
