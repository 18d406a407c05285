"""Families that Easel does not run: known, so that a person is told what they have.

The names are those of the families' own code, and of diffusers' classes for them (`models/transformers` and
`models/unets`); what each is follows its authors' own words.
"""

from engine.library.guess import Guess
from engine.library.headers.signs import Look, Shape, Sign, guess

IMAGE, VIDEO, SOUND = "an image model", "a video model", "a model for sound"

LABELS = {
    "FLUX.2": IMAGE, "Chroma": IMAGE, "Z-Image": IMAGE, "Lumina 2": IMAGE, "PixArt": IMAGE, "AuraFlow": IMAGE,
    "HunyuanDiT": IMAGE, "Qwen-Image": IMAGE, "Sana": IMAGE, "Stable Cascade": IMAGE, "HiDream": IMAGE,
    "Kolors": IMAGE, "Kandinsky": IMAGE, "DeepFloyd IF": IMAGE, "OmniGen 2": IMAGE, "Bria": IMAGE,
    "LongCat-Image": IMAGE, "Ovis-Image": IMAGE, "CogView": IMAGE, "GLM-Image": IMAGE, "PRX": IMAGE,
    "Hunyuan Image": IMAGE, "Anima": IMAGE, "Krea 2": IMAGE, "Ideogram 4": IMAGE, "CosXL": IMAGE,
    "Playground 2.5": IMAGE, "DiT": IMAGE, "Boogu-Image": IMAGE,
    "Wan": VIDEO, "Hunyuan Video": VIDEO, "LTX-Video": VIDEO, "Mochi": VIDEO, "CogVideoX": VIDEO, "Cosmos": VIDEO,
    "Allegro": VIDEO, "Stable Video Diffusion": VIDEO, "ModelScope": VIDEO, "VideoCrafter": VIDEO, "SeedVR2": VIDEO,
    "Stable Audio": SOUND, "ACE-Step": SOUND,
    "Hunyuan3D": "a model for shapes", "Zero123": "a model for views of a thing",
    "AnimateDiff": "which sets other models' pictures in motion", "GLIGEN": "which puts things into boxes",
    "Paint by Example": "which paints by an example picture", "Image Variations": "which varies a picture",
    "PhotoMaker": "which keeps a face", "PuLID": "which keeps a face",
    "a safety checker": "which looks for nudity in pictures",
}  # fmt: skip
"""What each of them is."""

_UNKNOWN_KIND = {"AnimateDiff", "PhotoMaker", "PuLID", "a safety checker"}
"""Things that are none of the library's kinds."""

_BY_NAMES: tuple[tuple[str, dict[str, Shape]], ...] = (
    # Things that lean on Stable Diffusion's own U-Net: before it.
    ("AnimateDiff", {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": ()}),
    ("AnimateDiff", {"down_blocks.0.motion_modules.0.norm.weight": ()}),
    ("GLIGEN", {"input_blocks.1.1.transformer_blocks.0.fuser.alpha_attn": ()}),
    ("GLIGEN", {"down_blocks.0.attentions.0.transformer_blocks.0.fuser.alpha_attn": ()}),
    ("Stable Video Diffusion", {"input_blocks.1.1.time_stack.0.attn1.to_q.weight": ()}),
    ("Stable Video Diffusion", {"down_blocks.0.attentions.0.temporal_transformer_blocks.0.attn1.to_q.weight": ()}),
    ("ModelScope", {"transformer_in.norm.weight": ()}),
    ("ModelScope", {"input_blocks.1.2.transformer_blocks.0.attn1.to_q.weight": ()}),
    ("VideoCrafter", {"input_blocks.1.0.temopral_conv.conv1.0.weight": ()}),
    ("Kolors", {"add_embedding.linear_1.weight": (1280, 5632)}),
    ("Kolors", {"label_emb.0.0.weight": (1280, 5632)}),
    ("Kandinsky", {"add_embedding.image_norm.weight": ()}),
    ("Kandinsky", {"encoder_hid_proj.image_embeds.weight": ()}),
    ("Kandinsky", {"add_time_condition.attention.to_q.weight": ()}),
    ("DeepFloyd IF", {"add_embedding.pool.positional_embedding": ()}),
    ("PhotoMaker", {"id_encoder.visual_projection_2.weight": ()}),
    ("PuLID", {"pulid_encoder.id_embedding_mapping.0.weight": ()}),
    ("PuLID", {"pulid_ca.0.to_q.weight": ()}),
    # Transformers: those that resemble FLUX before the others.
    ("FLUX.2", {"double_stream_modulation_img.lin.weight": ()}),
    ("FLUX.2", {"double_stream_modulation_img.linear.weight": ()}),
    ("Chroma", {"distilled_guidance_layer.in_proj.bias": ()}),
    ("Chroma", {"distilled_guidance_layer.norms.0.scale": ()}),
    ("Chroma", {"distilled_guidance_layer.norms.0.weight": ()}),
    ("Chroma", {"distilled_guidance_layer.0.norms.0.scale": ()}),
    ("Ovis-Image", {"double_blocks.0.img_mlp.gate_proj.weight": ()}),
    ("Ovis-Image", {"context_embedder_norm.weight": ()}),
    ("LongCat-Image", {"txt_in.weight": (3072, 3584), "double_blocks.0.img_attn.qkv.weight": ()}),
    ("LongCat-Image", {"context_embedder.weight": (3072, 3584), "single_transformer_blocks.0.norm.linear.weight": ()}),
    (
        "Bria",
        {"time_embed.timestep_embedder.linear_1.weight": (), "single_transformer_blocks.0.norm.linear.weight": ()},
    ),
    ("Hunyuan Video", {"txt_in.individual_token_refiner.blocks.0.norm1.weight": (), "img_in.proj.weight": (None,) * 5}),
    ("Hunyuan Image", {"txt_in.individual_token_refiner.blocks.0.norm1.weight": ()}),
    (
        "Hunyuan Video",
        {"context_embedder.token_refiner.refiner_blocks.0.norm1.weight": (), "x_embedder.proj.weight": (None,) * 5},
    ),
    ("Hunyuan Image", {"context_embedder.token_refiner.refiner_blocks.0.norm1.weight": ()}),
    ("AuraFlow", {"double_layers.0.attn.w1q.weight": ()}),
    ("AuraFlow", {"joint_transformer_blocks.0.norm1.linear.weight": (), "register_tokens": ()}),
    ("HunyuanDiT", {"mlp_t5.0.weight": ()}),
    ("HunyuanDiT", {"text_embedder.linear_1.weight": (), "blocks.0.attn2.to_k.weight": ()}),
    ("Qwen-Image", {"txt_norm.weight": (), "transformer_blocks.0.img_mod.1.weight": ()}),
    ("Qwen-Image", {"txt_in.text_norm.weight": (), "transformer_blocks.0.attn.norm_q.weight": ()}),
    ("Z-Image", {"cap_embedder.1.weight": (3840, None), "noise_refiner.0.attention.k_norm.weight": ()}),
    ("Z-Image", {"cap_embedder.1.weight": (3840, None), "noise_refiner.0.attention.norm_k.weight": ()}),
    ("Lumina 2", {"cap_embedder.1.weight": (2304, None), "noise_refiner.0.attention.k_norm.weight": ()}),
    (
        "Lumina 2",
        {"time_caption_embed.caption_embedder.1.weight": (2304, None), "noise_refiner.0.attn.norm_q.weight": ()},
    ),
    ("Boogu-Image", {"double_stream_layers.0.img_instruct_attn.processor.img_to_q.weight": ()}),
    ("OmniGen 2", {"time_caption_embed.timestep_embedder.linear_1.bias": (), "noise_refiner.0.attn.norm_q.weight": ()}),
    ("Sana", {"attention_y_norm.weight": (), "blocks.0.cross_attn.q_linear.weight": ()}),
    ("Sana", {"blocks.0.mlp.inverted_conv.conv.weight": (), "blocks.0.cross_attn.q_linear.weight": ()}),
    ("Sana", {"caption_norm.weight": (), "transformer_blocks.0.ff.conv_inverted.weight": ()}),
    ("PixArt", {"t_block.1.weight": (), "blocks.0.cross_attn.q_linear.weight": (1152, 1152)}),
    ("PixArt", {"adaln_single.emb.timestep_embedder.linear_1.bias": (1152,), "pos_embed.proj.bias": ()}),
    ("Allegro", {"adaln_single.emb.timestep_embedder.linear_1.bias": (2304,), "pos_embed.proj.bias": ()}),
    ("LTX-Video", {"patchify_proj.weight": (), "adaln_single.emb.timestep_embedder.linear_1.bias": ()}),
    ("LTX-Video", {"time_embed.emb.timestep_embedder.linear_1.weight": (), "proj_in.weight": (None, 128)}),
    ("Mochi", {"t5_yproj.weight": ()}),
    ("Mochi", {"pos_frequencies": (), "transformer_blocks.0.norm1.linear.weight": ()}),
    ("GLM-Image", {"glyph_projector.net.0.proj.weight": ()}),
    ("CogView", {"time_condition_embed.timestep_embedder.linear_1.weight": (), "patch_embed.text_proj.weight": ()}),
    ("CogVideoX", {"patch_embed.text_proj.weight": (), "transformer_blocks.0.norm1.linear.weight": ()}),
    ("CogVideoX", {"patch_embed.text_proj.weight": (), "blocks.0.norm1.linear.weight": ()}),
    ("SeedVR2", {"blocks.0.mlp.vid.proj_in.weight": (), "vid_in.proj.weight": ()}),
    ("SeedVR2", {"blocks.31.mlp.all.proj_in_gate.weight": ()}),
    ("Wan", {"head.modulation": (), "patch_embedding.weight": ()}),
    ("Wan", {"condition_embedder.time_embedder.linear_1.weight": (), "patch_embedding.weight": ()}),
    ("Hunyuan3D", {"latent_in.weight": (), "cond_in.weight": ()}),
    ("HiDream", {"caption_projection.0.linear.weight": (), "double_stream_blocks.0.block.adaLN_modulation.1.bias": ()}),
    ("Anima", {"llm_adapter.blocks.0.cross_attn.q_proj.weight": (), "blocks.0.mlp.layer1.weight": ()}),
    ("Cosmos", {"blocks.0.mlp.layer1.weight": (), "x_embedder.proj.1.weight": ()}),
    ("Cosmos", {"blocks.block0.blocks.0.block.attn.to_q.0.weight": ()}),
    ("Cosmos", {"time_embed.t_embedder.linear_1.weight": (), "transformer_blocks.0.norm1.linear_1.weight": ()}),
    ("Kandinsky", {"visual_transformer_blocks.0.cross_attention.key_norm.weight": ()}),
    ("Krea 2", {"txtfusion.projector.weight": ()}),
    ("Ideogram 4", {"embed_image_indicator.weight": ()}),
    ("PRX", {"blocks.0.attention.img_qkv_proj.weight": ()}),
    ("PRX", {"blocks.0.img_qkv_proj.weight": ()}),
    ("DiT", {"transformer_blocks.0.norm1.emb.timestep_embedder.linear_1.weight": (), "proj_out_2.weight": ()}),
    ("Stable Cascade", {"clf.1.weight": (), "clip_txt_mapper.weight": ()}),
    ("Stable Cascade", {"clf.1.weight": (), "clip_mapper.weight": ()}),
    ("Stable Cascade", {"clf.1.weight": (), "clip_txt_pooled_mapper.weight": ()}),
    ("Stable Audio", {"transformer.rotary_pos_emb.inv_freq": ()}),
    ("ACE-Step", {"genre_embedder.weight": ()}),
)
_BESIDE: tuple[tuple[str, dict[str, Shape]], ...] = (
    # What lies beside a U-Net that would otherwise be Stable Diffusion's.
    ("Zero123", {"cc_projection.weight": ()}),
    ("Paint by Example", {"cond_stage_model.mapper.resblocks.0.attn.c_qkv.weight": ()}),
    ("Image Variations", {"cond_stage_model.model.visual.class_embedding": ()}),
    ("Playground 2.5", {"edm_mean": (), "edm_std": ()}),
    ("CosXL", {"edm_vpred.sigma_max": ()}),
    ("a safety checker", {"special_care_embeds": (), "concept_embeds": ()}),
)
_SIGNS = tuple(
    Sign("unknown" if label in _UNKNOWN_KIND else "denoiser", label, has, refused=LABELS[label])
    for label, has in _BY_NAMES
)
_SIGNS_BESIDE = tuple(
    Sign("unknown" if label in _UNKNOWN_KIND else "checkpoint", label, has, refused=LABELS[label])
    for label, has in _BESIDE
)


def guess_foreign(look: Look) -> Guess | None:
    """A model of another family."""
    found = look.match(_SIGNS) or look.match(_SIGNS_BESIDE, ("", "state_dict."))
    return guess(look, found) if found else None
