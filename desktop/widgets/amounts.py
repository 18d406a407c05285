"""Times and sizes as people read them."""

from desktop.words import tr

_UNITS = ("kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """A time that is easy to read: 1.4 s, 18 s, 2 min 5 s."""
    if seconds < 10:
        return tr("{seconds} s").format(seconds=f"{seconds:.1f}" if seconds >= 0.1 else f"{seconds:.2f}")
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return tr("{seconds} s").format(seconds=rest)
    return tr("{minutes} min {seconds} s").format(minutes=minutes, seconds=rest)


def size(count: int) -> str:
    """So many bytes: 0.4 kB, 236 MB, 2.1 GB."""
    amount, unit = count / 1000, 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if amount < 9.95 else f"{amount:.0f} {_UNITS[unit]}"
