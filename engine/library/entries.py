"""What a file or a folder is taken for: its form, its header and what lies beside it, as an entry of the library."""

from pathlib import Path
from typing import Any, Literal

from msgspec.structs import replace

from engine.controls import KINDS as CONTROLS
from engine.errors import EaselError
from engine.families import FAMILIES
from engine.formats import magic
from engine.formats.headers import header_of
from engine.formats.magic import Form
from engine.formats.pickles import read_pickle
from engine.formats.safetensors import Header, read_header
from engine.library import sidecars
from engine.library.guess import KINDS, Guess, Kind, Question
from engine.library.headers import guess_header
from engine.library.headers.answers import answers, settled
from engine.library.recognise import Recognised, read_json, recognise, weight_files
from engine.library.sidecars import Sidecar
from engine.messages import Entry
from engine.offers import STARTER_NAME
from engine.paths import STARTER

_FOREIGN = (Form.GGUF, Form.OTHER_MODEL, Form.TORCHSCRIPT)
"""Models, but of programs that Easel is not."""
_CLASSES: dict[str, Kind] = {
    "UNet2DConditionModel": "denoiser", "SD3Transformer2DModel": "denoiser", "FluxTransformer2DModel": "denoiser",
    "ControlNetModel": "controlnet", "ControlNetUnionModel": "controlnet", "SD3ControlNetModel": "controlnet",
    "FluxControlNetModel": "controlnet", "T2IAdapter": "t2i_adapter", "AutoencoderKL": "vae",
    "AutoencoderTiny": "preview_decoder", "CLIPTextModel": "text_encoder", "T5EncoderModel": "text_encoder",
    "CLIPTextModelWithProjection": "text_encoder", "CLIPVisionModelWithProjection": "image_encoder",
    "CLIPVisionModel": "image_encoder",
    **{name: "preprocessor" for control in CONTROLS.values() for name in control.classes},
}  # fmt: skip
"""By the class that a component's `config.json` names."""
_LONGEST_NOTE = 4000
"""Letters of a card's description that are kept."""


def of_file(path: Path, hint: Kind = "unknown", has_cards: bool = True) -> Entry:
    """A file's entry, from its first bytes and its header. What is wrong with it stands in the entry.

    `hint` is what its folder is for, and only decides what is asked; `has_cards`, whether something lies beside it.
    """
    entry = Entry(path=str(path), name=path.stem)
    form = Form.UNKNOWN
    try:
        form = magic.form_of(path)
        if form not in magic.WEIGHTS and form is not Form.ONNX:
            raise magic.refusal(path, form)
        said = sidecars.read(path, None if has_cards else ())
        if form is Form.ONNX:
            return _guessed(_told(entry, said), _asking(_onnx(hint), hint))
        is_pickle = form is not Form.SAFETENSORS
        header = read_pickle(path).header if is_pickle else read_header(path)
    except EaselError as error:
        return _troubled(entry, "foreign" if form in _FOREIGN else "broken", error)
    said = said.or_else(sidecars.from_metadata(header.metadata))
    guess = guess_header(Header(header.tensors, {}), path.name)  # what the metadata say is in `said` by now
    return _guessed(replace(_told(entry, said), is_pickle=is_pickle), _asking(_by_card(guess, said), hint))


def of_model(folder: Path) -> Entry:
    """The entry of a model folder in the form of diffusers."""
    entry = Entry(path=str(folder), name=STARTER_NAME if folder == STARTER else folder.name, sort="checkpoint")
    try:
        return _guessed(entry, _of_model(folder, recognise(folder)))
    except EaselError as error:
        return _troubled(entry, "foreign" if _is_foreign(folder) else "broken", error)


def of_component(folder: Path) -> Entry:
    """The entry of a folder with one network in it, in the form of diffusers or of transformers."""
    entry = Entry(path=str(folder), name=folder.name)
    try:
        config = read_json(folder / "config.json")
        file = weight_files(folder)[0]
        guess = guess_header(header_of(file), file.name)
    except EaselError as error:
        return _troubled(entry, "broken", error)
    named = _class_of(config)
    kind = _CLASSES.get(named, "unknown")
    if kind not in ("unknown", guess.kind):
        families = [family.name for family in FAMILIES.values() if family.recognises(config)]
        made_for = families[0] if kind in ("denoiser", "controlnet") and len(families) == 1 else ""
        guess = Guess(kind, made_for, rests_on=f"Its configuration names the class {named}.")
    return _guessed(entry, guess)


def _of_model(folder: Path, found: Recognised) -> Guess:
    """Its family is certain; the header of its denoiser tells the variant, its scheduler what that predicts."""
    family, part = found.family, found.family.denoiser
    file = weight_files(folder / part)[0]
    guess = guess_header(header_of(file), folder.name)
    rests_on = f"The configuration of its {part} is one of {family.label}."
    if guess.family != family.name or guess.refusal:
        return Guess("checkpoint", family.name, rests_on=rests_on)
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    predicts = {"v_prediction": "v-prediction", "epsilon": "epsilon"}.get(str(scheduler.get("prediction_type")), "")
    guess = settled(guess, {"prediction": predicts})
    if predicts == "v-prediction" and predicts not in guess.variants:
        guess = guess._replace(variants=(*guess.variants, predicts))
    return guess._replace(kind="checkpoint", rests_on=rests_on)


def _onnx(hint: Kind) -> Guess:
    """The only ones that Easel runs are upscalers, and nothing in them says so as clearly as where they lie."""
    if hint == "upscaler":
        return Guess("upscaler", rests_on="It is an ONNX file in a folder of upscalers.")
    return Guess("unknown", rests_on="It is an ONNX file.")


def _by_card(guess: Guess, said: Sidecar) -> Guess:
    """The guess, with what only a card or the metadata tell."""
    told = answers(guess, said)
    if not told:
        return guess
    what = ", ".join(f"{about} “{answer}”" for about, answer in told.items())
    return settled(guess, told)._replace(rests_on=f"{guess.rests_on} Its card says: {what}.".strip())


def _asking(guess: Guess, hint: Kind) -> Guess:
    """Of a file that tells nothing, its kind is asked; its folder says what is likely."""
    if guess.kind != "unknown" or guess.refusal:
        return guess
    likely = () if hint == "unknown" else (hint,)
    choices = (*likely, *(kind for kind in KINDS if kind not in ("unknown", hint)))
    return guess._replace(questions=(*guess.questions, Question("kind", choices)))


def _told(entry: Entry, said: Sidecar) -> Entry:
    return replace(
        entry,
        name=said.title or entry.name,
        trigger_words=said.trigger_words,
        notes=(said.notes or said.description)[:_LONGEST_NOTE],
        preview=str(said.preview or ""),
    )


def _guessed(entry: Entry, guess: Guess) -> Entry:
    news: dict[str, Any] = {"state": "foreign", "trouble": guess.refusal} if guess.refusal else {}
    return replace(
        entry,
        sort=guess.kind,
        family=guess.family,
        variants=guess.variants,
        rests_on=guess.rests_on,
        questions=tuple((each.about, each.choices) for each in guess.questions),
        **news,
    )


def _troubled(entry: Entry, state: Literal["broken", "foreign"], error: EaselError) -> Entry:
    return replace(entry, state=state, trouble=str(error))


def _is_foreign(folder: Path) -> bool:
    """Whether a model folder that cannot be used is whole enough to be of a family that Easel does not run."""
    for part in ("unet", "transformer", "prior"):
        if (folder / part).is_dir():
            try:
                config = read_json(folder / part / "config.json")
            except EaselError:
                return False
            return not any(family.recognises(config) for family in FAMILIES.values())
    return False


def _class_of(config: dict[str, Any]) -> str:
    named = config.get("_class_name") or config.get("architectures")
    if isinstance(named, list) and len(named) == 1:
        named = named[0]
    return named if isinstance(named, str) else ""
