"""Starts the window, a verb of the command line, or a process that serves them; nothing heavy before it knows."""

import sys


def main() -> int:
    """Run what the command line asks for; the exit code."""
    from engine import offline
    from engine.errors import FAILED, INTERRUPTED, EaselError

    offline.seal()
    try:
        return _chosen(sys.argv[1:])
    except EaselError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # whoever read our output has heard enough
        sys.stdout = None
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  one of the four doors: a person gets a sentence, the log the rest
        _write_down()
        print(f"Easel met an error it does not know ({type(error).__name__}: {error}).", file=sys.stderr)
        return FAILED


def _chosen(arguments: list[str]) -> int:
    match arguments:
        case ["--worker"]:
            from engine.worker import main as work

            return work()
        case ["--convert", conversion]:
            from engine.backends.openvino.convert import main as convert

            return convert(conversion)
        case ["--unpickle", copy]:
            from engine.library.converted_pickles import main as unpickle

            return unpickle(copy)
        case []:
            from desktop.app import run

            return run(sys.argv)
        case _:
            from engine.cli import main as verb

            return verb(arguments)


def _write_down() -> None:
    import logging

    from engine.paths import home

    try:
        home().mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=home() / "easel.log")
    except OSError:
        logging.basicConfig()
    logging.getLogger("easel").exception("unexpected")


if __name__ == "__main__":
    from multiprocessing import freeze_support

    freeze_support()
    sys.exit(main())
