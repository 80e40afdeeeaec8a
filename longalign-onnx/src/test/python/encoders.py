"""Writes src/test/resources/encoders: tiny random encoders and what transformers computes with them (float32, CPU).

Made with transformers 5.18.0 and torch 2.13. Usage: python src/test/python/encoders.py src/test/resources/encoders
"""

import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

ROOT = pathlib.Path(sys.argv[1])


def randomize(model, seed, dtype):
    """Weights large enough that every part matters, exactly representable in the type they are stored in."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                value = 1 + 0.3 * torch.randn(parameter.shape, generator=generator)
            elif parameter.dim() <= 1:
                value = 0.3 * torch.randn(parameter.shape, generator=generator)
            elif "embedding" in name or "shared" in name or "relative" in name:
                value = torch.randn(parameter.shape, generator=generator)
            else:
                value = 1.5 * torch.randn(parameter.shape, generator=generator) / parameter.shape[1] ** 0.5
            parameter.copy_(value.to(dtype).float())
    return model.eval()


def write(name, model, dtype, expected, keep=lambda key: True, rename=lambda key: key, shards=1, bin_file=False):
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    state = {rename(k): v.detach().clone() for k, v in model.state_dict().items() if keep(k)}
    state = {k: v.to(dtype).contiguous() if v.is_floating_point() else v for k, v in state.items()}
    if bin_file:
        torch.save(state, folder / "pytorch_model.bin")
    elif shards == 1:
        save_file(state, folder / "model.safetensors")
    else:
        weight_map = {}
        for i in range(shards):
            file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
            part = dict(list(state.items())[i::shards])
            save_file(part, folder / file)
            weight_map.update({key: file for key in part})
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    save_file({k: v.detach().contiguous() for k, v in expected.items()}, folder / "expected.safetensors")


def ids(seed, vocab, batch, length):
    return torch.randint(3, vocab, (batch, length), generator=torch.Generator().manual_seed(seed))


def without_prefix(key):
    """Published files say text_model.*; transformers 5 does not."""
    return key.removeprefix("text_model.")


def clip(name, seed, dtype=torch.float32, batch=3, length=7, **options):
    settings = dict(vocab_size=40, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
                    max_position_embeddings=12, projection_dim=10, eos_token_id=2)
    write_options = {k: options.pop(k) for k in ("keep", "rename", "shards", "bin_file") if k in options}
    settings.update(options)
    model = randomize(CLIPTextModel(CLIPTextConfig(**settings)), seed, dtype)
    tokens = ids(seed, settings["vocab_size"], batch, length)
    with torch.no_grad():
        output = model(tokens)
    write_options.setdefault("rename", lambda key: "text_model." + without_prefix(key))
    write(name, model, dtype, {"input_ids": tokens, "last_hidden_state": output.last_hidden_state}, **write_options)


def clip_both(name, seed, eos):
    text = dict(vocab_size=40, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=12, hidden_act="gelu", eos_token_id=eos)
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=8,
                  patch_size=4)
    model = randomize(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=10)), seed,
                      torch.float32)
    tokens = ids(seed, 38, 4, 9)
    for row, end in enumerate((8, 3, 5, 0)):
        tokens[row, end:] = 39 if eos == 2 else eos
    with torch.no_grad():
        output = model.text_model(tokens)
        projected = model.text_projection(output.pooler_output)
    write(name, model, torch.float32,
          {"input_ids": tokens, "last_hidden_state": output.last_hidden_state, "pooled": output.pooler_output,
           "projected": projected}, keep=lambda key: not key.startswith("vision"))


def t5(name, seed, dtype=torch.float32, batch=2, length=40, **options):
    settings = dict(vocab_size=50, d_model=20, d_kv=6, d_ff=28, num_layers=2, num_heads=3,
                    relative_attention_num_buckets=12, relative_attention_max_distance=25)
    write_options = {k: options.pop(k) for k in ("keep", "rename", "shards", "bin_file") if k in options}
    settings.update(options)
    model = randomize(T5EncoderModel(T5Config(**settings)), seed, dtype)
    tokens = ids(seed, settings["vocab_size"], batch, length)
    with torch.no_grad():
        output = model(tokens)
    write(name, model, dtype, {"input_ids": tokens, "last_hidden_state": output.last_hidden_state},
          keep=lambda key: key != "encoder.embed_tokens.weight", **write_options)


clip("clip_quick_gelu", 1, num_attention_heads=3, length=12)
clip("clip_gelu_bf16", 2, torch.bfloat16, num_attention_heads=2, hidden_act="gelu", num_hidden_layers=3)
clip("clip_without_prefix", 3, num_attention_heads=6, length=1,
     rename=without_prefix)
clip("clip_bin_f16", 4, torch.float16, num_attention_heads=4, bin_file=True)
clip_both("clip_both_first_eos", 5, eos=37)
clip_both("clip_both_largest_id", 6, eos=2)
t5("t5_relu_sharded", 7, shards=2, feed_forward_proj="relu")
t5("t5_gated_f16", 8, torch.float16, feed_forward_proj="gated-gelu", num_layers=3, d_kv=10)
t5("t5_gated_silu_long", 9, torch.bfloat16, feed_forward_proj="gated-silu", length=75, batch=1,
   relative_attention_num_buckets=32, relative_attention_max_distance=64)
