"""What a file of weights is, told by its header alone: names, shapes, dtypes and metadata of its tensors."""

from engine.formats.safetensors import Header
from engine.library.guess import Guess
from engine.library.headers.answers import answers, settled
from engine.library.headers.autoencoders import guess_autoencoder
from engine.library.headers.embeddings import guess_embedding, guess_hypernetwork
from engine.library.headers.encoders import guess_encoder
from engine.library.headers.foreign import guess_foreign
from engine.library.headers.loras import guess_lora
from engine.library.headers.nets import guess_net
from engine.library.headers.signs import Look
from engine.library.headers.transformers import guess_transformer
from engine.library.headers.unets import guess_unet
from engine.library.headers.upscalers import guess_upscaler
from engine.library.sidecars import from_metadata

_JUDGES = (
    guess_net, guess_foreign, guess_unet, guess_transformer, guess_lora, guess_embedding, guess_autoencoder,
    guess_encoder, guess_upscaler, guess_hypernetwork,
)  # fmt: skip
"""From the most special: a ControlNet is half a U-Net, a checkpoint may hold stray layers of a LoRA and a VAE."""


def guess_header(header: Header, name: str) -> Guess:
    """What the file of that name is: right, or "unknown"; with questions about what no header tells.

    The name proves nothing: it only says which answer to a question is the likeliest. Metadata (modelspec, kohya's)
    answers questions, but never goes against the tensors.
    """
    look = Look(header.tensors, header.metadata, name)
    found = next((guess for judge in _JUDGES if (guess := judge(look))), None)
    if found is None:
        count = len(header.tensors)
        return Guess("unknown", rests_on=f"None of the names of its {count:,} tensors is one that Easel knows.")
    return settled(found, answers(found, from_metadata(header.metadata)))
