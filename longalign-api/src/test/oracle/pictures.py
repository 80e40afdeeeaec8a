"""Pictures as diffusers draws them, from pictures and in sizes larger than the model's: golden/sample/pictures_*.

    PYTHONPATH=diffusers/src python pictures.py EMBEDDED_MODEL GOLDEN/sample

EMBEDDED_MODEL is longalign-api/src/main/resources/dev/longalign/embedded/longsd-mini. Made with diffusers 0.40 and torch
2.13 on a CPU; the pipelines' code for the latents of a picture and their noise is the same in diffusers 0.28.
"""
import json
import sys

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image
from safetensors.numpy import save_file

torch.set_num_threads(1)
MODEL, OUT = sys.argv[1:3]
PROMPT = "A large red circle sits in the center of the picture. A small blue square is placed in the upper left."
SCHEDULERS = {
    "unipc": UniPCMultistepScheduler,
    "lcm": LCMScheduler,
    "ddim": DDIMScheduler,
    "ddpm": DDPMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_ancestral": EulerAncestralDiscreteScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
}


class CudaGenerator:
    """torch.randn of a CUDA generator (Philox 4x32-10, one subsequence an element), for tensors smaller than its grid."""

    device = torch.device("cpu")

    def __init__(self, seed):
        self.seed, self.calls = seed, 0

    def randn(self, *shape):
        n = int(np.prod(shape))
        c = [np.full(n, self.calls, np.uint64), np.zeros(n, np.uint64), np.arange(n, dtype=np.uint64), np.zeros(n, np.uint64)]
        self.calls += 1
        low, k0, k1 = np.uint64(0xFFFFFFFF), self.seed & 0xFFFFFFFF, self.seed >> 32
        for _ in range(10):
            a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
            high = np.uint64(32)
            c = [(b >> high) ^ c[1] ^ np.uint64(k0), b & low, (a >> high) ^ c[3] ^ np.uint64(k1), a & low]
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        u = c[0].astype(np.float32) * np.float32(2**-32) + np.float32(2**-33)
        v = c[1].astype(np.float32) * np.float32(2 * np.pi * 2**-32) + np.float32(2 * np.pi * 2**-33)
        return torch.from_numpy((np.sqrt(-2 * np.log(u)) * np.sin(v)).reshape(shape))


# What torch.manual_seed(0); torch.randn(4, device="cuda") prints.
assert np.allclose(CudaGenerator(0).randn(4), [-0.92466259, -0.42534415, -2.6438457, 0.14518388], atol=2e-6)
torch_randn = torch.randn
torch.randn = lambda shape, generator=None, **more: (
    generator.randn(*shape) if isinstance(generator, CudaGenerator) else torch_randn(shape, generator=generator, **more)
)

base = StableDiffusionPipeline.from_pretrained(MODEL, safety_checker=None)


def drawing(width, height):
    """A picture with edges, ramps and colours."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) % 64 * 4], -1)
    rgb[(x - width / 2) ** 2 + (y - height / 2) ** 2 < (min(width, height) / 3) ** 2] = (230, 40, 30)
    return rgb.astype(np.uint8)


def draw(case, image):
    scheduler = SCHEDULERS[case["scheduler"]].from_config(base.scheduler.config)
    cuda = case.get("generator") == "torch_cuda"
    generators = [CudaGenerator(s) if cuda else torch.Generator().manual_seed(s) for s in case["seeds"]]
    call = dict(
        prompt=[PROMPT] * len(generators),
        num_inference_steps=case["steps"],
        guidance_scale=case["guidance_scale"],
        generator=generators if len(generators) > 1 else generators[0],
        output_type="np",
    )
    vae = AutoencoderKL.from_pretrained(MODEL, subfolder="vae")
    if case.get("vae_tiling") == "always":
        vae.enable_tiling()
    parts = dict(vae=vae, text_encoder=base.text_encoder, tokenizer=base.tokenizer, unet=base.unet, scheduler=scheduler)
    parts.update(safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    if image is None:
        pipe = StableDiffusionPipeline(**parts)
        call.update(width=case["width"], height=case["height"])
    else:
        pipe = StableDiffusionImg2ImgPipeline(**parts)
        call.update(image=Image.fromarray(image), strength=case["strength"])
    pipe.set_progress_bar_config(disable=True)
    if case["scheduler"] == "ddim":
        call.update(eta=case.get("eta", 0))
    with torch.no_grad():
        return np.ascontiguousarray((pipe(**call).images * 255).round().astype(np.uint8))


def write(name, title, notes, cases):
    tensors, about = {}, {}
    for case in cases:
        image = None
        if "strength" in case:
            image = drawing(case["width"], case["height"])
            tensors[case["name"] + ".image"] = image
        tensors[case["name"] + ".pictures"] = draw(case, image)
    for key, value in tensors.items():
        what = "what the pictures are made from" if key.endswith(".image") else "the pictures"
        about[key] = dict(shape=list(value.shape), dtype="uint8", layout="NHWC"[4 - value.ndim :], meaning=what)
    save_file(tensors, f"{OUT}/{name}.safetensors")
    values = dict(prompt=PROMPT, cases=cases)
    versions = dict(torch=torch.__version__, diffusers=__import__("diffusers").__version__)
    with open(f"{OUT}/{name}.json", "w") as f:
        json.dump(dict(title=title, notes=notes, tensors=about, values=values, generator=versions), f, indent=1)
        f.write("\n")


def case(name, scheduler, steps, seeds, width=96, height=96, **more):
    guidance = 0 if scheduler == "lcm" else 3
    return dict(name=name, scheduler=scheduler, steps=steps, seeds=seeds, width=width, height=height, guidance_scale=guidance, **more)


MODEL_NOTE = "The embedded model without its LoRA and adapter: prompts cut at 77 tokens, as StableDiffusionPipeline does."
write(
    "pictures_img2img",
    "StableDiffusionImg2ImgPipeline: pictures drawn from pictures",
    [
        MODEL_NOTE,
        "Each picture has a generator of its own, which draws the noise of the picture's latents before the noise on them.",
        "LCM: the last int(steps * strength) of the timesteps, as this pipeline does for every scheduler.",
    ],
    [
        case("unipc", "unipc", 8, [7], strength=0.5),
        case("unipc_slight", "unipc", 25, [2**40 + 3], strength=0.1),
        case("unipc_cuda_batch", "unipc", 6, [5, 9], 104, 88, strength=0.7, generator="torch_cuda"),
        case("ddim_eta", "ddim", 6, [7], strength=0.9, eta=0.5),
        case("ddim_batch", "ddim", 5, [5, 9], 64, 128, strength=0.6),
        case("ddpm", "ddpm", 7, [11], 128, 64, strength=0.6),
        case("euler", "euler", 6, [1], strength=0.75),
        case("euler_whole", "euler", 3, [1], 72, 96, strength=1.0),
        case("euler_ancestral_batch", "euler_ancestral", 7, [3, 4], strength=0.4),
        case("euler_ancestral_cuda", "euler_ancestral", 6, [3], 88, 72, strength=0.5, generator="torch_cuda"),
        case("dpmpp_2m", "dpmpp_2m", 9, [8], 128, 64, strength=0.7),
        case("lcm", "lcm", 4, [6], strength=0.8),
        case("lcm_cuda", "lcm", 4, [6], 64, 96, strength=0.5, generator="torch_cuda"),
    ],
)
write(
    "pictures_large",
    "StableDiffusionPipeline: pictures of 1.1, 2 and 2.1 times the model's size, decoded whole and in tiles",
    [MODEL_NOTE, "vae_tiling always: after enable_vae_tiling(); otherwise the autoencoder decodes the whole picture."],
    [
        case("whole_1.1", "unipc", 2, [7], 104, 104),
        case("whole_2.0", "unipc", 2, [7], 192, 96),
        case("whole_2.1", "unipc", 2, [7], 200, 200),
        case("tiles_1.1", "unipc", 2, [7], 104, 104, vae_tiling="always"),
        case("tiles_2.1", "unipc", 2, [7], 200, 136, vae_tiling="always"),
        case("tiles_img2img", "ddim", 4, [7], 168, 104, strength=0.5, vae_tiling="always"),
    ],
)
