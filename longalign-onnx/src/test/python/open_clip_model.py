"""Writes src/test/resources/preference/open_clip_config: a tiny random model of open_clip with what its config can change,
and its features and image gradients by torch in float64.

Made with open_clip 3.3 and torch 2.13. Usage: python src/test/python/open_clip_model.py
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file
from open_clip.model import CustomTextCLIP

HERE = pathlib.Path(__file__).parents[1]
OUT = HERE / "resources/preference/open_clip_config"
TOKENIZER = HERE.parents[2] / "longalign-api/src/test/golden/models/tiny-longsd/denscore"
CONFIG = {
    "model_cfg": {
        "embed_dim": 10,
        "custom_text": True,
        "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "head_width": 8, "patch_size": 4, "mlp_ratio": 1.5,
                       "ls_init_value": 0.1, "act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-3},
                       "final_ln_after_pool": True, "patch_dropout": 0.5, "pool_type": "tok", "qk_norm": False},
        "text_cfg": {"context_length": 77, "vocab_size": 1214, "width": 32, "layers": 2, "mlp_ratio": 2, "ls_init_value": 0.1,
                     "act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-4}},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear", "resize_mode": "squash"},
}

model = CustomTextCLIP(CONFIG["model_cfg"]["embed_dim"], CONFIG["model_cfg"]["vision_cfg"], CONFIG["model_cfg"]["text_cfg"])
generator = torch.Generator().manual_seed(11)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        if "ln_" in name and name.endswith("weight") or name.endswith("gamma"):
            value = 1 + 0.3 * torch.randn(parameter.shape, generator=generator)
        elif parameter.dim() <= 1:
            value = 0.3 * torch.randn(parameter.shape, generator=generator)
        elif "embedding" in name:
            value = torch.randn(parameter.shape, generator=generator)
        else:
            value = 1.5 * torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5
        parameter.copy_(value)
state = {k: v.clone().contiguous() for k, v in model.state_dict().items()}
model = model.double().eval()

pixels = torch.randn(3, 3, 16, 16, generator=generator)
cotangent = torch.randn(3, 10, generator=generator)
ids = torch.randint(3, 1000, (4, 77), generator=generator)
for row, end in enumerate((76, 3, 5, 1)):
    ids[row, end:] = 1213
x = pixels.double().requires_grad_()
features = model.encode_image(x)
(gradient,) = torch.autograd.grad((features * cotangent.double()).sum(), x)
with torch.no_grad():
    texts = model.encode_text(ids, normalize=True)

shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir(parents=True)
save_file(state, OUT / "open_clip_model.safetensors")
(OUT / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=1))
for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
    shutil.copyfile(TOKENIZER / file, OUT / file)
save_file({"pixel_values": pixels, "cotangent": cotangent, "image_features": features.detach().float(), "gradient": gradient.float(),
           "input_ids": ids, "text_features": texts.float()}, OUT / "expected.safetensors")
