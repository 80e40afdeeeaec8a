"""Writes src/test/resources/preference/processors.safetensors and .json: random pictures as preference models' own processors prepare them.

Pictures are bytes [height, width, 3] by name; results are [3, size, size] f32. By transformers' CLIPImageProcessor on Pillow
(5.18: CLIPImageProcessorPil), open_clip 3.3's image_transform, and what HPSv2's own code does to a picture (ToTensor, then the
longer side resized and the rest filled up with black), with torchvision 0.28.
Usage: python src/test/python/processors.py
"""

import json
import pathlib

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessorPil
from torchvision.transforms import InterpolationMode, functional as F
from open_clip.transform import image_transform

OUT = pathlib.Path(__file__).parents[1] / "resources/preference/processors"
SIZE = 12
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
generator = np.random.default_rng(3)
pictures = {}
for height, width in ((12, 12), (30, 23), (17, 45), (7, 10), (13, 12), (9, 9), (56, 8)):
    smooth = Image.fromarray(generator.integers(0, 256, (7, 6, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    noisy = np.asarray(smooth).astype(int) + generator.integers(-40, 41, (height, width, 3))
    pictures[f"{height}x{width}"] = noisy.clip(0, 255).astype(np.uint8)

CLIP = {
    "default": {},
    "larger, cut": {"size": {"shortest_edge": 17}},
    "smaller, filled up": {"size": {"shortest_edge": 8}},
    "a number": {"size": 15, "crop_size": 12},
    "squashed": {"size": {"height": 12, "width": 12}, "do_center_crop": False},
    "exact, cut": {"size": {"height": 14, "width": 19}},
    "not resized": {"do_resize": False},
    "lanczos": {"resample": 1},
    "bilinear": {"resample": 2},
    "box": {"resample": 4},
    "hamming": {"resample": 5},
    "half": {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
    "not normalised": {"do_normalize": False},
    "not rescaled": {"do_rescale": False},
    "to two": {"rescale_factor": 2 / 255},
}
OPEN_CLIP = {
    "default": {},
    "longest": {"resize_mode": "longest", "fill_color": 40},
    "squash": {"resize_mode": "squash", "interpolation": "bilinear"},
    "bilinear": {"interpolation": "bilinear", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
}


def hps(picture):
    x = F.to_tensor(picture)
    height, width = x.shape[1:]
    scale = SIZE / max(height, width)
    new = [round(height * scale), round(width * scale)]
    x = F.resize(x, new, InterpolationMode.BICUBIC, antialias=True)
    bottom, right = SIZE - new[0], SIZE - new[1]
    x = F.pad(x, [right // 2, bottom // 2, right - right // 2, bottom - bottom // 2], fill=0)
    return F.normalize(x, MEAN, STD)


tensors = {f"picture {name}": torch.from_numpy(p) for name, p in pictures.items()}
cases = []
for kind, configs in (("clip", CLIP), ("open_clip", OPEN_CLIP), ("hps", {"default": {}})):
    for name, config in configs.items():
        for picture, values in pictures.items():
            image = Image.fromarray(values)
            if kind == "clip":
                full = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}, **config}
                out = CLIPImageProcessorPil(**full)(image, return_tensors="np")["pixel_values"][0]
                config_out = full
            elif kind == "open_clip":
                out = image_transform(SIZE, False, **config)(image).numpy()
                config_out = config
            else:
                out, config_out = hps(image).numpy(), {}
            if out.shape != (3, SIZE, SIZE):
                continue
            key = f"{kind}, {name}, {picture}"
            tensors[key] = torch.from_numpy(np.ascontiguousarray(out, dtype=np.float32))
            cases.append({"name": key, "kind": kind, "picture": picture, "config": config_out})
save_file(tensors, str(OUT) + ".safetensors")
pathlib.Path(str(OUT) + ".json").write_text(json.dumps({"size": SIZE, "cases": cases}))
print(len(cases))
