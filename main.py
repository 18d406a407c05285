"""Starts the window, a verb of the command line, or a process that serves them; nothing heavy before it knows."""

import sys


def main() -> int:
    """Run what the command line asks for; the exit code."""
    from engine import offline

    offline.seal()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--worker"]:
        from engine.worker import main as worker

        return worker()
    if arguments[:1] == ["--convert"]:
        from engine.backends.openvino.convert import main as convert

        return convert(arguments[1])
    if arguments:
        from engine.cli import main as verb

        return verb(arguments)
    from engine.errors import EaselError

    try:
        from desktop.app import run

        return run(sys.argv)
    except EaselError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    from multiprocessing import freeze_support

    freeze_support()
    sys.exit(main())
