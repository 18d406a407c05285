"""What the window, the engine thread and the worker say to one another; to and from one JSON line."""

from typing import Literal

import msgspec
from msgspec import Struct

from engine.settings import GenerateSettings, Preferences

# ---------------------------------------------------------------- what is spoken of


class Device(Struct, frozen=True, kw_only=True):
    """A backend that was looked for on this machine."""

    backend: str
    name: str
    here: bool
    precisions: tuple[str, ...] = ()
    """Fastest first."""
    memory_bytes: int = 0
    why: str = ""
    """Why it is chosen, or not, or not here; one sentence."""
    offload: Literal["", "model", "sequential"] = ""
    """What of a model waits in the machine's memory for its turn on the device: its parts, or its layers."""
    sliced_attention: bool = False


class ModelCard(Struct, frozen=True, kw_only=True):
    """A model that can draw."""

    name: str
    path: str
    family: str = ""
    native_size: int = 512
    size_multiple: int = 8
    """Width and height must be multiples of this many pixels."""
    size_bytes: int = 0
    parameters: int = 0
    reads_guidance: bool = False
    """Whether it is a consistency model that is told the guidance scale, and so not guided by two prompts."""
    few_steps: str = ""
    """What the person or its card says: a kind of `engine.few_steps.KINDS`, “no”; empty where nothing is said."""


class Entry(Struct, frozen=True, kw_only=True):
    """A file or a model folder that the library knows."""

    path: str
    name: str
    """What people call it: the title they gave, the metadata's, else the file's stem."""
    sort: str = "unknown"
    """A kind of `engine.library.guess.KINDS`."""
    family: str = ""
    variants: tuple[str, ...] = ()
    rests_on: str = ""
    """What the guess rests on, in a sentence."""
    questions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What must be asked once: what it is about, and what it may be."""
    state: Literal["here", "missing", "broken", "foreign"] = "here"
    """Missing on a drive that is unplugged, or gone; broken files cannot be read; foreign ones are of a family that
    Easel does not run."""
    trouble: str = ""
    """For all but "here": what is the matter, and what to do."""
    size_bytes: int = 0
    changed: float = 0.0
    """When the file was last written, seconds since 1970."""
    sha256: str = ""
    """Empty until it has been counted, in the background."""
    trigger_words: tuple[str, ...] = ()
    notes: str = ""
    tags: tuple[str, ...] = ()
    starred: bool = False
    preview: str = ""
    """The file of a picture of it."""
    converted: tuple[str, ...] = ()
    """The precisions that it is converted to."""
    twins: tuple[str, ...] = ()
    """Paths of other files with the same content."""
    root: str = ""
    """The folder of the library that it was found in."""
    answers: tuple[tuple[str, str], ...] = ()
    """What the person answered when they were asked: what about, and the answer."""
    is_pickle: bool = False
    """Whether it is one of PyTorch's files, which are copied as .safetensors before anything reads their numbers."""


class Hindrance(Struct, frozen=True, kw_only=True):
    """Why a folder of the library cannot be looked through, or the library not be written."""

    where: str
    """The folder or the file."""
    cause: str
    advice: str


class ChosenLora(Struct, frozen=True, kw_only=True):
    """A LoRA's file, and how strongly it changes the denoiser and the text encoders."""

    path: str
    weight: float
    text_encoder_weight: float
    blocks: tuple[float, ...] = ()
    """A factor for each block; none for 1 everywhere."""


class ChosenImagePrompt(Struct, frozen=True, kw_only=True):
    """A picture to be read as a prompt: its file, the IP-Adapter's, and the folder of the encoder that this reads."""

    image: str
    adapter: str
    encoder: str
    weight: float


class Adapters(Struct, frozen=True, kw_only=True):
    """The files of everything that a picture's settings and prompts name."""

    loras: tuple[ChosenLora, ...] = ()
    nets: tuple[str, ...] = ()
    """The folder of a ControlNet or T2I-Adapter for each of the settings' controls."""
    preprocessors: tuple[str, ...] = ()
    """The model that makes the control image of each, a folder or file; empty where none is needed."""
    image_prompts: tuple[ChosenImagePrompt, ...] = ()
    embeddings: tuple[tuple[str, str], ...] = ()
    """Name and file of every embedding there is; a prompt says which it uses."""
    upscaler: str = ""
    """Its file; empty for Lanczos."""
    vae: str = ""
    """An autoencoder's folder or file; empty for the model's own."""


# ---------------------------------------------------------------- requests, down


class Message(Struct, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """A request or an event; `job` ties events to the request they answer."""

    job: str = ""


class Axis(Struct, frozen=True, kw_only=True):
    """A setting that a grid goes over, and its values there."""

    name: str
    values: tuple[str | float | int | None, ...]


class Generate(Message, frozen=True, kw_only=True):
    """Make pictures. `folder` is where they go, empty for the usual one; `stem` their name, empty for one by date."""

    settings: GenerateSettings
    grid: tuple[Axis, ...] = ()
    """Across, and down: a picture for each pair of values, and a sheet of them all."""
    folder: str = ""
    stem: str = ""


class Draw(Message, frozen=True, kw_only=True):
    """To the worker: make one picture, every value decided, and leave it finished at `part`."""

    settings: GenerateSettings
    model: ModelCard
    refiner: ModelCard | None = None
    adapters: Adapters = Adapters()
    part: str
    previews: str = ""
    """A folder for previews; empty for none."""
    deaths: int = 0
    """How many workers have died of it; each time it is made with less memory."""


class Lay(Message, frozen=True, kw_only=True):
    """To the worker: lay finished pictures out as a sheet with titles, and leave it at `part`."""

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    settings: GenerateSettings
    """Of the first picture."""
    pictures: tuple[str, ...] = ()
    """Their files, row by row."""
    part: str = ""


class Cancel(Message, frozen=True, kw_only=True):
    """Stop a job within one step; what is finished stays."""


class Keep(Message, frozen=True, kw_only=True):
    """Write down the preferences, or what is being typed, so that a crash gives it back."""

    value: Preferences | GenerateSettings


class Recent(Message, frozen=True, kw_only=True):
    """Answer with Pictures: the newest of `folder`, empty for the usual one, at most `count`."""

    folder: str = ""
    count: int = 60


class Browse(Message, frozen=True, kw_only=True):
    """Answer with Entries at once, from what is remembered; then look for changes and tell them by Scanned."""


class TakeIn(Message, frozen=True, kw_only=True):
    """Bring files or folders into the library: used where they lie, or copied or moved into Easel's own folder."""

    paths: tuple[str, ...]
    how: Literal["use", "copy", "move"] = "copy"


class Describe(Message, frozen=True, kw_only=True):
    """What the person says of an entry; None leaves a thing as it is."""

    path: str
    name: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] | None = None
    trigger_words: tuple[str, ...] | None = None
    starred: bool | None = None
    sort: str | None = None
    """Overrules the guess, as do family and variants; empty takes that back."""
    family: str | None = None
    variants: tuple[str, ...] | None = None
    answers: tuple[tuple[str, str], ...] = ()
    """To the entry's questions."""


class Discard(Message, frozen=True, kw_only=True):
    """To the system's trash, with what lies beside it for it (card, preview)."""

    path: str


class Forget(Message, frozen=True, kw_only=True):
    """Look no more into a folder that was added; nothing in it is touched."""

    path: str


class Convert(Message, frozen=True, kw_only=True):
    """Make a model ready for OpenVINO at a precision, in a process of its own."""

    path: str
    precision: str


class Pause(Message, frozen=True, kw_only=True):
    """Hold a job between two steps, or let it go on; without a job, the conversion."""

    on: bool
    why: str = ""
    """A sentence where it was not the person who wants it."""


class StopAfter(Message, frozen=True, kw_only=True):
    """End a job once the picture that is being made is there. What is not begun is handed back."""


# ---------------------------------------------------------------- events, up


class Ready(Message, frozen=True, kw_only=True):
    """The worker is up; what the machine can do and what was chosen."""

    devices: tuple[Device, ...]
    chosen: str
    precision: str


class Queued(Message, frozen=True, kw_only=True):
    """A job waits; `place` jobs are before it."""

    place: int


class Started(Message, frozen=True, kw_only=True):
    """A picture is begun. `notes` are sentences about what was changed to make it fit."""

    backend: str
    precision: str
    notes: tuple[str, ...] = ()


class Preparing(Message, frozen=True, kw_only=True):
    """Something must be done before the first step: loading, converting, compiling. `done` from 0 to 1."""

    what: str
    done: float = 0.0


class Paused(Message, frozen=True, kw_only=True):
    """A picture waits between two steps, or goes on."""

    on: bool = True
    why: str = ""
    """As in Pause."""


class Progress(Message, frozen=True, kw_only=True):
    """A step is done. `picture` of `pictures` is being made."""

    step: int
    steps: int
    seconds_left: float
    seconds_a_step: float = 0.0
    preview: str = ""
    picture: int = 1
    pictures: int = 1


class Picture(Message, frozen=True, kw_only=True):
    """A picture is finished and on the disk."""

    path: str
    settings: GenerateSettings
    backend: str
    precision: str
    seconds: float
    notes: tuple[str, ...] = ()
    """Sentences about what could not be kept, or was done otherwise than asked."""
    peak_memory_bytes: int = 0
    """Of the worker, since it started."""


class Done(Message, frozen=True, kw_only=True):
    """Every picture of the job is there."""


class CancelledJob(Message, frozen=True, kw_only=True, tag="cancelled"):
    """The job was called off; `settings` hands the request back."""

    settings: GenerateSettings | None = None
    undone: int = 0
    """Of a job that stopped after a picture: how many more were asked for. Then `settings` is for those."""


class Failed(Message, frozen=True, kw_only=True):
    """The job cannot be done; always two sentences. `settings` hands the request back."""

    cause: str
    advice: str
    where: str = ""
    fault: Literal["request", "engine"] = "engine"
    settings: GenerateSettings | None = None


class WorkerLost(Message, frozen=True, kw_only=True):
    """The worker process ended by itself; `again` says whether another was started."""

    cause: str
    again: bool


class Entries(Message, frozen=True, kw_only=True):
    """Everything that the library remembers."""

    entries: tuple[Entry, ...]


class Scanned(Message, frozen=True, kw_only=True):
    """How far a look through the library's folders is, and what it found since the last such event."""

    changed: tuple[Entry, ...] = ()
    gone: tuple[str, ...] = ()
    """Paths of entries that are no longer there."""
    files: int = 0
    """Looked at so far."""
    done: bool = False
    hindrances: tuple[Hindrance, ...] = ()
    """What stands in the way, as far as the last look that came to its end has met it."""
    folders: tuple[str, ...] = ()
    """Those that the person added."""


class Converting(Message, frozen=True, kw_only=True):
    """How far a conversion is; `done` from 0 to 1."""

    path: str
    precision: str
    what: str
    done: float = 0.0
    seconds_left: float = 0.0
    paused: bool = False


class Pictures(Message, frozen=True, kw_only=True):
    """Files of finished pictures, newest first."""

    paths: tuple[str, ...]


Order = Draw | Lay | Cancel | Pause
"""What the worker reads."""
Request = (
    Generate | Cancel | StopAfter | Keep | Recent | Browse | TakeIn | Describe | Discard | Forget | Convert | Pause
)
"""What the engine thread reads."""
Event = (
    Ready
    | Queued
    | Started
    | Preparing
    | Paused
    | Progress
    | Picture
    | Done
    | CancelledJob
    | Failed
    | WorkerLost
    | Entries
    | Scanned
    | Converting
    | Pictures
)

read_order = msgspec.json.Decoder(Order).decode
read_event = msgspec.json.Decoder(Event).decode
_encode = msgspec.json.Encoder().encode


def line(message: Message) -> bytes:
    """One JSON object and a newline."""
    return _encode(message) + b"\n"
