"""The benchmarks' shapes in PyTorch on the same GPU: torch_peer.py FILE writes milliseconds by benchmark as JSON.

Needs torch only. With diffusers, its UNet with random weights is timed too, as it is and through torch.compile with CUDA
graphs; the faster one counts. All in bf16 and channels_last, as cuDNN likes it best; the median of several runs between CUDA events. The
single operations run many times in a CUDA graph, so that launching them, which takes longer than the short ones, is not timed.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F

DEVICE = "cuda"
BF16 = torch.bfloat16


def milliseconds(work, runs=20):
    for _ in range(3):
        work()
    times = []
    for _ in range(runs):
        begin = torch.cuda.Event(enable_timing=True)
        end = torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end))
    return sorted(times)[len(times) // 2]


def milliseconds_in_graph(work, times=20):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(times):
            work()
    return milliseconds(graph.replay) / times


def attention(batch, queries, keys, heads, size):
    q = torch.randn(batch, heads, queries, size, device=DEVICE, dtype=BF16)
    k = torch.randn(batch, heads, keys, size, device=DEVICE, dtype=BF16)
    v = torch.randn(batch, heads, keys, size, device=DEVICE, dtype=BF16)
    return milliseconds_in_graph(lambda: F.scaled_dot_product_attention(q, k, v))


def conv3x3(side, channels):
    x = torch.randn(2, channels, side, side, device=DEVICE, dtype=BF16).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=DEVICE, dtype=BF16) / math.sqrt(9 * channels)
    weight = weight.to(memory_format=torch.channels_last)
    bias = torch.randn(channels, device=DEVICE, dtype=BF16)
    return milliseconds_in_graph(lambda: F.conv2d(x, weight, bias, padding=1) + x)


def group_norm_silu(side, channels):
    x = torch.randn(2, channels, side, side, device=DEVICE, dtype=BF16).to(memory_format=torch.channels_last)
    gamma = torch.randn(channels, device=DEVICE, dtype=BF16)
    beta = torch.randn(channels, device=DEVICE, dtype=BF16)
    return milliseconds_in_graph(lambda: F.silu(F.group_norm(x, 32, gamma, beta, 1e-5)))


def linear(rows, columns, out):
    x = torch.randn(rows, columns, device=DEVICE, dtype=BF16)
    weight = torch.randn(out, columns, device=DEVICE, dtype=BF16)
    return milliseconds_in_graph(lambda: F.linear(x, weight))


ATTENTIONS = {
    "down0_self_attn": (2, 4096, 4096, 8, 40),
    "down0_cross_attn": (2, 4096, 480, 8, 40),
    "down1_self_attn": (2, 1024, 1024, 8, 80),
    "down1_cross_attn": (2, 1024, 480, 8, 80),
    "mid_self_attn": (2, 64, 64, 8, 160),
    "vae_mid_attn": (1, 4096, 4096, 1, 512),
}
LAYERS = {"down0_conv2": (64, 320), "down1_conv2": (32, 640), "down2_conv2": (16, 1280), "mid_conv2": (8, 1280)}


def unet_steps():
    """Milliseconds of a step with guidance of a UNet of SD 1.5's size with random weights, as often as a way is found that is
    faster: as it is, then through torch.compile and CUDA graphs. Nothing without diffusers."""
    try:
        from diffusers import UNet2DConditionModel
    except ImportError:
        return
    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768)
    unet = unet.to(DEVICE, BF16, memory_format=torch.channels_last).eval()
    latents = torch.randn(2, 4, 64, 64, device=DEVICE, dtype=BF16).to(memory_format=torch.channels_last)
    context = torch.randn(2, 480, 768, device=DEVICE, dtype=BF16)
    timestep = torch.tensor(499, device=DEVICE)
    best = milliseconds(lambda: unet(latents, timestep, context), runs=10)
    print(f"UNet as it is: {best:.3f} ms", flush=True)
    yield best
    try:
        compiled = torch.compile(unet, mode="reduce-overhead")
        faster = milliseconds(lambda: compiled(latents, timestep, context), runs=10)
        print(f"UNet through torch.compile, reduce-overhead: {faster:.3f} ms", flush=True)
        yield min(best, faster)
    except Exception as error:  # a missing compiler says nothing about the network
        print("torch.compile does not work here:", error)


@torch.inference_mode()
def main(path):
    result = {}

    def write():
        name = f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}"
        with open(path, "w") as file:
            json.dump({"name": name, "milliseconds": result}, file, indent=2)

    for layer, shape in ATTENTIONS.items():
        result["AttentionBenchmark.attention " + layer] = attention(*shape)
    for layer, shape in LAYERS.items():
        result["ResnetBenchmark.conv3x3 " + layer] = conv3x3(*shape)
        result["ResnetBenchmark.groupNormSilu " + layer] = group_norm_silu(*shape)
    for rows, columns, out in [(8192, 320, 320), (8192, 320, 2560), (2048, 640, 5120), (8192, 8192, 8192)]:
        result[f"linear {rows} x {columns} x {out}"] = linear(rows, columns, out)
    write()
    for step in unet_steps():
        result["UNetBenchmark.step sd15"] = step
        result["SampleBenchmark.loop sd15"] = 25 * step
        write()
    for name, value in result.items():
        print(f"{name:60} {value:10.3f} ms")


if __name__ == "__main__":
    main(sys.argv[1])
