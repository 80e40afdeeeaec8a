"""A UNet with time_cond_proj_dim, told the guidance scale as diffusers' pipelines tell it.

    PYTHONPATH=diffusers/src python guidance_embedding.py

Parameters are those of dev.longalign.nn.RandomWeights (seed 5), recomputed here, so nothing has to be stored. Prints the
numbers that GuidanceEmbeddingTest expects.
"""
import math

import numpy as np
import torch
from diffusers import LatentConsistencyModelPipeline, UNet2DConditionModel

torch.set_num_threads(1)
torch.set_grad_enabled(False)
M64, GOLDEN, SEED = (1 << 64) - 1, 0x9E3779B97F4A7C15, 5


def java_hash(s):
    h = 0
    for c in s:
        h = (31 * h + ord(c)) & 0xFFFFFFFF
    return h - (1 << 32) if h >= 1 << 31 else h


def uniform(name, shape, fan_in):
    start = (SEED * GOLDEN + java_hash(name)) & M64
    n = int(np.prod(shape))
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.uint64(GOLDEN) * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    values = (z.view(np.int64) >> 40).astype(np.float64) * 2.0**-23
    return torch.tensor((values / math.sqrt(fan_in)).reshape(shape), dtype=torch.float32)


def wave(factor, *shape):
    n = int(np.prod(shape))
    return torch.tensor(factor * np.sin(np.arange(n) * 0.37), dtype=torch.float32).reshape(shape)


for width in (16, 17):
    unet = UNet2DConditionModel(
        block_out_channels=(8, 8), norm_num_groups=4, attention_head_dim=2, layers_per_block=1, cross_attention_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        time_cond_proj_dim=width,
    )  # fmt: skip
    for path, module in unet.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            fan_in = module.weight[0].numel()
            module.weight.copy_(uniform(path + ".weight", module.weight.shape, fan_in))
            if module.bias is not None:
                module.bias.copy_(uniform(path + ".bias", module.bias.shape, fan_in))
    latents = wave(1, 2, 4, 4, 4).permute(0, 3, 1, 2)  # [B, H, W, C] there
    context = wave(2, 2, 3, 8)
    for guidance in (7.5, 1.0, 0.0):
        w = torch.tensor(guidance - 1).repeat(2)
        embedded = LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, w, embedding_dim=width)
        out = unet(latents, torch.tensor([499, 499]), context, timestep_cond=embedded).sample.permute(0, 2, 3, 1)
        print(width, guidance, ", ".join("%.7gf" % v for v in out.flatten()[::13].tolist()))
