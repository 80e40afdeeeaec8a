"""Writes src/test/resources/preference: tiny random CLIP models, their features and image gradients by torch (CPU).

The features and gradients are computed in float64, the weights are exact in the type they are stored in.
Made with transformers 5.18.0 and torch 2.13. Usage: python src/test/python/preference.py src/test/resources/preference
"""

import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

ROOT = pathlib.Path(sys.argv[1])
TOKENIZER = pathlib.Path(__file__).parents[4] / "longalign-api/src/test/golden/models/tiny-longsd/denscore"


def randomize(model, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight") or "layrnorm.weight" in name:
                value = 1 + 0.3 * torch.randn(parameter.shape, generator=generator)
            elif parameter.dim() <= 1:
                value = 0.3 * torch.randn(parameter.shape, generator=generator)
            elif "embedding" in name and "patch" not in name:
                value = torch.randn(parameter.shape, generator=generator)
            else:
                fan_in = parameter[0].numel()
                value = 1.5 * torch.randn(parameter.shape, generator=generator) / fan_in**0.5
            parameter.copy_(value.to(dtype).float())
    return model.eval()


def open_clip_state(state):
    """transformers' names and layouts to open_clip's."""
    out = {}
    for name, value in state.items():
        for tower, prefix in (("vision_model.", "visual."), ("text_model.", "")):
            if not name.startswith(tower):
                continue
            rest = name.removeprefix(tower)
            for old, new in (("embeddings.patch_embedding.weight", "conv1.weight"),
                             ("embeddings.class_embedding", "class_embedding"),
                             ("embeddings.position_embedding.weight", "positional_embedding"),
                             ("embeddings.token_embedding.weight", "token_embedding.weight"),
                             ("pre_layrnorm", "ln_pre"), ("post_layernorm", "ln_post"),
                             ("final_layer_norm", "ln_final"), ("encoder.layers", "transformer.resblocks"),
                             ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"), ("mlp.fc1", "mlp.c_fc"),
                             ("mlp.fc2", "mlp.c_proj"), ("self_attn.out_proj", "attn.out_proj")):
                rest = rest.replace(old, new)
            if "self_attn.q_proj" in rest:
                joined = torch.cat([state[name.replace("q_proj", p)] for p in ("q_proj", "k_proj", "v_proj")])
                out[prefix + rest.replace("self_attn.q_proj.", "attn.in_proj_")] = joined
            elif "self_attn" not in rest:
                out[prefix + rest] = value
    out["visual.proj"] = state["visual_projection.weight"].T.contiguous()
    out["text_projection"] = state["text_projection.weight"].T.contiguous()
    out["logit_scale"] = state["logit_scale"]
    return out


def clip(name, seed, dtype=torch.float32, open_clip=False, projection=10, text_eos=2, **vision):
    settings = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, image_size=16,
                    patch_size=4, hidden_act="quick_gelu")
    settings.update(vision)
    text = dict(vocab_size=1214, hidden_size=64 if open_clip else 16, intermediate_size=24, num_hidden_layers=2,
                num_attention_heads=1 if open_clip else 2, max_position_embeddings=77,
                hidden_act=settings["hidden_act"], eos_token_id=text_eos)
    config = CLIPConfig(text_config=text, vision_config=settings, projection_dim=projection)
    model = randomize(CLIPModel(config), seed, dtype)
    generator = torch.Generator().manual_seed(seed + 100)
    size = settings["image_size"]
    pixels = torch.randn(3, 3, size, size, generator=generator)
    cotangent = torch.randn(3, projection, generator=generator)
    ids = torch.randint(3, 1000, (4, 77), generator=generator)
    for row, end in enumerate((76, 3, 5, 1)):
        ids[row, end:] = 1213
    exact = CLIPModel(config).double().eval()
    exact.load_state_dict({k: v.double() for k, v in model.state_dict().items()})
    x = pixels.double().requires_grad_()
    features = exact.visual_projection(exact.vision_model(x).pooler_output)
    (gradient,) = torch.autograd.grad((features * cotangent.double()).sum(), x)
    with torch.no_grad():
        texts = exact.text_projection(exact.text_model(ids).pooler_output)
        texts = texts / texts.norm(dim=-1, keepdim=True)
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Published files have no position ids or have them as a buffer; the ids are not read either way.
    state = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items() if v.is_floating_point()}
    if open_clip:
        torch.save({"epoch": 3, "state_dict": {"module." + k: v for k, v in open_clip_state(state).items()}},
                   folder / "tiny_compressed.pt")
    else:
        model.config.save_pretrained(folder)
        save_file(state, folder / "model.safetensors")
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / file, folder / file)
    save_file({"pixel_values": pixels, "cotangent": cotangent, "image_features": features.detach().float(),
               "gradient": gradient.float(), "input_ids": ids, "text_features": texts.float()},
              folder / "expected.safetensors")


clip("quick_gelu", 1)
clip("gelu_heads", 2, hidden_act="gelu", num_attention_heads=6, patch_size=8, projection=7)
clip("gelu_new_f16", 3, torch.float16, hidden_act="gelu_new", num_attention_heads=4, num_hidden_layers=3)
clip("remainder_bf16", 4, torch.bfloat16, hidden_act="gelu", image_size=15, patch_size=4)
clip("relu_one_patch", 5, hidden_act="relu", patch_size=16, num_hidden_layers=1)
clip("silu_no_layers", 6, hidden_act="silu", num_hidden_layers=0)
clip("open_clip", 7, open_clip=True, hidden_act="gelu", hidden_size=128, num_attention_heads=2)
clip("open_clip_f16", 8, torch.float16, open_clip=True, hidden_act="gelu", hidden_size=64, num_attention_heads=1)
