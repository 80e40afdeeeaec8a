"""LoRA files of several kinds for the tiny UNet, and what peft and diffusers make of its weights.

Writes src/test/resources/dev/longalign/model/lora-kinds: the files, and expected.json with, for every layer that a file
changes, numbers of its change: eight of its elements, evenly spread, and its norm. LoraKindsTest reads them.

    python lora_kinds.py            (peft 0.21, diffusers 0.40, torch 2.13, float32)
"""
import json
import os
import shutil
import warnings

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
torch.manual_seed(5)
HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = HERE + "/../golden/models/tiny-longsd/unet_train"
OUT = HERE + "/../resources/dev/longalign/model/lora-kinds"
expected = {}


def unet():
    return UNet2DConditionModel.from_pretrained(MODEL)


BASE = {n: p.detach().clone() for n, p in unet().named_parameters()}


def note(name, weights):
    """What changed, layer by layer."""
    layers = {}
    for parameter, value in weights.items():
        delta = (value.detach() - BASE[parameter]).double().flatten()
        if delta.abs().max() > 0:
            at = torch.linspace(0, delta.numel() - 1, 8).long()
            layers[parameter] = {"at": at.tolist(), "delta": delta[at].tolist(), "norm": delta.norm().item()}
    assert layers, name
    expected[name] = layers


def randomize(model):
    with torch.no_grad():
        for n, p in model.named_parameters():
            if "lora_" in n:
                p.copy_(torch.randn_like(p) * 0.2)


def by_peft(name, **config):
    target = config.pop("target_modules", ["to_q", "to_k", "conv1"])
    model = get_peft_model(unet(), LoraConfig(target_modules=target, **config))
    randomize(model)
    directory = f"{OUT}/{name}"
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory)
    os.remove(directory + "/README.md")
    note(name + "/adapter_model.safetensors", dict(model.merge_and_unload().named_parameters()))


def fused(state, prefix="unet", **how):
    model = unet()
    model.load_lora_adapter(state, prefix=prefix, **how)
    model.fuse_lora()
    return {n.replace(".base_layer", ""): p for n, p in model.named_parameters() if "lora_" not in n}


by_peft("peft-patterns", r=2, lora_alpha=6,
        rank_pattern={"attn1.to_k": 3, r"down_blocks\.\d+\.resnets.*conv1": 1, "to_q": 2},
        alpha_pattern={"^mid_block.*to_q": 5, "to_k": 1.5, "conv1": 9})
by_peft("peft-rslora", r=4, lora_alpha=3, use_rslora=True, target_modules=r"mid_block\.attentions\.0.*(to_v|to_out\.0)")
by_peft("peft-gaussian", r=1, lora_alpha=1, init_lora_weights="gaussian", fan_in_fan_out=True, target_modules=["proj_in", "conv_shortcut"])

# diffusers: the config travels in the metadata of the file
model = unet()
model.add_adapter(LoraConfig(r=2, lora_alpha=7, target_modules=["attn2.to_v", "ff.net.0.proj", "conv_in"],
                             rank_pattern={"up_blocks.*attn2.to_v": 3}, alpha_pattern={"conv_in": 1}))
randomize(model)
state = get_peft_model_state_dict(model)
directory = OUT + "/diffusers-patterns"
shutil.rmtree(directory, ignore_errors=True)
from diffusers.loaders.lora_base import _pack_dict_with_prefix  # noqa: E402
from diffusers.utils import logging  # noqa: E402

logging.set_verbosity_error()
metadata = model.peft_config["default"].to_dict()
StableDiffusionLoraLoaderMixin.save_lora_weights(directory, unet_lora_layers=state, unet_lora_adapter_metadata=metadata)
loaded, alphas, metadata = StableDiffusionLoraLoaderMixin.lora_state_dict(
    directory, return_lora_metadata=True)
note("diffusers-patterns/pytorch_lora_weights.safetensors", fused(loaded, network_alphas=alphas, metadata=metadata))

# kohya's names over the blocks of the first training code, several ranks, with a text encoder's. One alpha: of
# several, diffusers 0.40 looks for those of attentions under another name and takes the most frequent for them.
sizes = {n[: -len(".weight")]: p.shape for n, p in BASE.items() if n.endswith(".weight") and p.ndim >= 2}
names = {
    "input_blocks_1_1_transformer_blocks_0_attn1_to_q": "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "input_blocks_1_1_proj_in": "down_blocks.0.attentions.0.proj_in",
    "middle_block_1_transformer_blocks_0_attn2_to_k": "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    "middle_block_1_transformer_blocks_0_attn2_to_out_0": "mid_block.attentions.0.transformer_blocks.0.attn2.to_out.0",
    "output_blocks_0_1_transformer_blocks_0_ff_net_2": None,
    "output_blocks_2_1_transformer_blocks_0_ff_net_0_proj": None,
    "output_blocks_2_1_transformer_blocks_0_attn1_to_v": None,
}
config = unet().config
per = config.layers_per_block + 1
kohya = {}
for i, (original, path) in enumerate(names.items()):
    if path is None:
        _, _, layer, _, rest = original.split("_", 4)
        path = f"up_blocks.{int(layer) // per}.attentions.{int(layer) % per}." + rest.replace("_", ".").replace(
            "transformer.blocks", "transformer_blocks").replace("to.v", "to_v")
    if path not in sizes:
        continue
    out, inner = sizes[path][:2]
    rank = 1 + i % 3
    tail = (1, 1) if len(sizes[path]) == 4 else ()
    kohya[f"lora_unet_{original}.lora_down.weight"] = torch.randn(rank, inner, *tail) * 0.2
    kohya[f"lora_unet_{original}.lora_up.weight"] = torch.randn(out, rank, *tail) * 0.2
    kohya[f"lora_unet_{original}.alpha"] = torch.tensor(1.5)
save_file(kohya | {
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": torch.ones(1, 8),
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_up.weight": torch.ones(8, 1),
    "lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha": torch.tensor(1.0),
}, OUT + "/kohya-original.safetensors")
loaded, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(dict(kohya), unet_config=config)
weights = fused(loaded, network_alphas=alphas)
note("kohya-original.safetensors", weights)

# LoCon with a kernel between its factors: three convolutions one after the other, of an impulse
mid = {}
weights = {}
for path, rank in {"down_blocks.0.resnets.0.conv1": 3, "mid_block.resnets.1.conv2": 2}.items():
    out, inner, kh, kw = sizes[path]
    name = "lora_unet_" + path.replace(".", "_")
    down, core, up = torch.randn(rank, inner, 1, 1), torch.randn(rank, rank, kh, kw), torch.randn(out, rank, 1, 1)
    mid |= {name + ".lora_down.weight": down, name + ".lora_mid.weight": core, name + ".lora_up.weight": up,
            name + ".alpha": torch.tensor(1.0)}
    impulses = torch.eye(inner)[:, :, None, None]  # one picture for each input channel, of one pixel
    response = torch.nn.functional.conv2d(
        torch.nn.functional.conv2d(torch.nn.functional.conv2d(impulses, down), core, padding=(kh - 1, kw - 1)), up)
    delta = response.flip(2, 3).transpose(0, 1) / rank  # a convolution's answer is its kernel, turned round
    weights[path + ".weight"] = BASE[path + ".weight"] + delta
save_file(mid, OUT + "/locon-mid.safetensors")
note("locon-mid.safetensors", weights)

with open(OUT + "/expected.json", "w") as f:
    json.dump(expected, f, indent=1)
    f.write("\n")
for name, layers in expected.items():
    print(name, len(layers))
