"""What is going on, said in words: progress, waiting, the device, what went wrong."""

from desktop.state import Now
from desktop.widgets.amounts import duration
from desktop.words import tr
from engine.messages import Failed, Preparing, Progress, Ready, WorkerLost

_PROGRAMS = {"openvino": "OpenVINO", "cuda": "CUDA", "mps": "Metal", "torch": "PyTorch", "cpu": "PyTorch"}
_ON_GRAPHICS = ("cuda", "mps")


def status(now: Now) -> str:
    """The line at the bottom of the window."""
    if now.jobs and now.ending == now.jobs[0]:
        return tr("Stopping…")
    doing = _doing(now)
    if now.paused and now.paused.why:
        return f"{tr(now.paused.why)} {doing}"
    if now.paused:
        return tr(", ").join((tr("Paused"), doing))
    return tr(", ").join((tr("Pausing…"), doing)) if now.held in now.jobs[:1] else doing


def _doing(now: Now) -> str:
    match now.doing:
        case Progress() as progress:
            return _progress(progress, is_last=now.stopping_after in now.jobs[:1])
        case Preparing(what=what, done=done):
            return tr("{what}: {percent} %").format(what=tr(what), percent=round(done * 100))
        case None:
            return _quiet(now)


def _progress(progress: Progress, is_last: bool) -> str:
    parts = [tr("Step {step} of {steps}").format(step=progress.step, steps=progress.steps)]
    if progress.pictures > 1:
        which = tr("Picture {picture} of {pictures}")
        parts.insert(0, which.format(picture=progress.picture, pictures=progress.pictures))
    if progress.seconds_a_step:
        parts.append(tr("{time} a step").format(time=duration(progress.seconds_a_step)))
    later_pictures = 0 if is_last else progress.pictures - progress.picture
    left = duration(progress.seconds_left + later_pictures * progress.steps * progress.seconds_a_step)
    words = tr("{time} left, then it stops") if is_last else tr("{time} left")
    parts.append(words.format(time=left))
    return tr(", ").join(parts)


def _quiet(now: Now) -> str:
    if now.ready is None:
        return tr("The engine is not running.") if now.trouble else tr("Starting the engine…")
    return tr("Beginning…") if now.jobs else tr("Ready")


def share(now: Now) -> float | None:
    """How much of what is being done is done, from 0 to 1; None where that is not known."""
    match now.doing:
        case Progress() as progress:
            return (progress.picture - 1 + progress.step / max(progress.steps, 1)) / max(progress.pictures, 1)
        case Preparing(done=done):
            return done
        case None:
            return None


def pause(now: Now) -> str:
    """What the button for it does."""
    if now.paused and now.paused.why:
        return tr("Go on anyway")
    return tr("Go on") if now.paused or now.held in now.jobs[:1] else tr("Pause")


def has_more(now: Now) -> bool:
    """Whether other pictures of the job come after the one that is being made."""
    return isinstance(now.doing, Progress) and now.doing.picture < now.doing.pictures


def waiting(now: Now) -> str:
    """How many jobs come after this one."""
    behind = len(now.jobs) - 1
    return tr("{number} waiting").format(number=behind) if behind > 0 else ""


def device(ready: Ready | None) -> str:
    """What draws, in three words."""
    if ready is None:
        return tr("Looking at this computer…")
    kind = tr("Graphics card") if ready.chosen in _ON_GRAPHICS else tr("CPU")
    return f"{kind}{tr(', ')}{_PROGRAMS.get(ready.chosen, ready.chosen)} {ready.precision}"


def why_device(ready: Ready | None) -> str:
    """Every backend that was looked for, and why it is used or not."""
    found = ready.devices if ready else ()
    lines = (f"{one.name}{tr(': ')}{tr(one.why)}" if one.why else one.name for one in found)
    return "\n".join(lines)


def trouble(event: Failed | WorkerLost, is_waiting: bool) -> tuple[str, str]:
    """What went wrong, and what to do."""
    if isinstance(event, Failed):
        return tr(event.cause), tr(event.advice)
    cause = tr("The engine stopped ({cause}).").format(cause=tr(event.cause))
    if not event.again:
        return cause, tr("It stays off until you press Generate.")
    if is_waiting:
        return cause, tr("It was started again and your request is being tried once more.")
    return cause, tr("It was started again.")
