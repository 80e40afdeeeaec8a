"""UNet2DConditionModel of a small SD 2.1 style config, written out with torch's functions only.

Parameters are those of dev.longalign.nn.RandomWeights (seed 21), recomputed here, so nothing has to be stored. Prints
the numbers that UNet2DConditionStyleTest expects:  python unet_sd21_style.py
"""
import math
import numpy as np
import torch
import torch.nn.functional as F

torch.set_grad_enabled(False)
M64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def java_hash(s):
    h = 0
    for c in s:
        h = (31 * h + ord(c)) & 0xFFFFFFFF
    return h - (1 << 32) if h >= 1 << 31 else h


def parameter(name, *shape):
    n = int(np.prod(shape))
    start = (21 * GOLDEN + java_hash(name)) & M64
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.uint64(GOLDEN) * np.arange(1, n + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z.view(np.int64) >> 40).astype(np.float64) * 2.0**-23, shape


def weight(name, *shape):
    values, _ = parameter(name + ".weight", *shape)
    return torch.tensor((values / math.sqrt(np.prod(shape[1:]))).reshape(shape), dtype=torch.float64)


def bias(name, out, fan_in):
    values, _ = parameter(name + ".bias", out)
    return torch.tensor(values / math.sqrt(fan_in), dtype=torch.float64)


def linear(p, x, out, with_bias=True):
    n = x.shape[-1]
    return F.linear(x, weight(p, out, n), bias(p, out, n) if with_bias else None)


def conv(p, x, out, k=3, **kw):
    n = x.shape[1]
    return F.conv2d(x, weight(p, out, n, k, k), bias(p, out, n * k * k), **kw)


CHANNELS, LAYERS, HEADS, DEPTH = (32, 64, 64), (1, 2, 1), (2, 4, 8), (1, 2, 1)
DOWN, UP = (True, True, False), (False, True, True)  # which levels attend
GROUPS, CONTEXT = 8, 24


def resnet(p, x, t, out):
    h = conv(p + ".conv1", F.silu(F.group_norm(x, GROUPS, eps=1e-5)), out, padding=1)
    h = h + linear(p + ".time_emb_proj", F.silu(t), out)[:, :, None, None]
    h = conv(p + ".conv2", F.silu(F.group_norm(h, GROUPS, eps=1e-5)), out, padding=1)
    return (x if x.shape[1] == out else conv(p + ".conv_shortcut", x, out, 1)) + h


def attention(p, x, c, heads):
    b, n, d = x.shape
    split = lambda y: y.reshape(b, -1, heads, d // heads).transpose(1, 2)
    q, k, v = (split(linear(f"{p}.to_{s}", y, d, False)) for s, y in (("q", x), ("k", c), ("v", c)))
    y = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d // heads), -1) @ v
    return linear(p + ".to_out.0", y.transpose(1, 2).reshape(b, n, d), d)


def transformer(p, x, c, heads, depth):
    b, d, hh, ww = x.shape
    h = F.group_norm(x, GROUPS, eps=1e-6).permute(0, 2, 3, 1).reshape(b, hh * ww, d)
    h = linear(p + ".proj_in", h, d)
    for i in range(depth):
        q = f"{p}.transformer_blocks.{i}"
        n = F.layer_norm(h, (d,))
        h = h + attention(q + ".attn1", n, n, heads)
        h = h + attention(q + ".attn2", F.layer_norm(h, (d,)), c, heads)
        hidden, gate = linear(q + ".ff.net.0.proj", F.layer_norm(h, (d,)), 8 * d).chunk(2, -1)
        h = h + linear(q + ".ff.net.2", hidden * F.gelu(gate), d)
    return linear(p + ".proj_out", h, d).reshape(b, hh, ww, d).permute(0, 3, 1, 2) + x


def unet(x, timesteps, c):
    half = CHANNELS[0] // 2
    angles = timesteps[:, None] * torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half)
    t = torch.cat([angles.cos(), angles.sin()], -1)
    t = linear("time_embedding.linear_2", F.silu(linear("time_embedding.linear_1", t, 4 * CHANNELS[0])), 4 * CHANNELS[0])
    h = conv("conv_in", x, CHANNELS[0], padding=1)
    skips = [h]
    for i in range(3):
        p = f"down_blocks.{i}"
        for j in range(LAYERS[i]):
            h = resnet(f"{p}.resnets.{j}", h, t, CHANNELS[i])
            if DOWN[i]:
                h = transformer(f"{p}.attentions.{j}", h, c, HEADS[i], DEPTH[i])
            skips.append(h)
        if i < 2:
            h = conv(p + ".downsamplers.0.conv", h, CHANNELS[i], stride=2, padding=1)
            skips.append(h)
    h = resnet("mid_block.resnets.0", h, t, CHANNELS[2])
    h = transformer("mid_block.attentions.0", h, c, HEADS[2], DEPTH[2])
    h = resnet("mid_block.resnets.1", h, t, CHANNELS[2])
    for i in range(3):
        p, level = f"up_blocks.{i}", 2 - i
        for j in range(LAYERS[level] + 1):
            h = resnet(f"{p}.resnets.{j}", torch.cat([h, skips.pop()], 1), t, CHANNELS[level])
            if UP[i]:
                h = transformer(f"{p}.attentions.{j}", h, c, HEADS[level], DEPTH[level])
        if i < 2:
            h = conv(p + ".upsamplers.0.conv", F.interpolate(h, size=skips[-1].shape[2:]), CHANNELS[level], padding=1)
    return conv("conv_out", F.silu(F.group_norm(h, GROUPS, eps=1e-5)), 4, padding=1)


wave = lambda *shape: torch.sin(torch.arange(int(np.prod(shape)), dtype=torch.float64) * 0.37).reshape(shape)
out = unet(wave(2, 10, 6, 4).permute(0, 3, 1, 2), torch.tensor([7.0, 801.0], dtype=torch.float64), 2 * wave(2, 5, CONTEXT))
flat = out.permute(0, 2, 3, 1).reshape(-1)
print("size", flat.numel(), "max", flat.abs().max().item())
print("every 29th", ", ".join(f"{v:.7f}" for v in flat[::29].tolist()))
