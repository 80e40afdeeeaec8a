"""Stage align on networks that predict something else than the noise: golden/align/{v_prediction,sample}.

    PYTHONPATH=diffusers/src python align_prediction.py GOLDEN

The target is the velocity (DDPMScheduler.get_velocity, as diffusers' training scripts take it) or the clean latents.
Everything else is as in golden/align/one_step, whose inputs are used and whose loss this script finds again first.
"""
import json
import sys

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
GOLDEN = sys.argv[1]
MODEL = GOLDEN + "/models/tiny-longsd"
KEPT = 12

inputs = load_file(GOLDEN + "/align/one_step.safetensors")
recorded = json.load(open(GOLDEN + "/align/one_step.json"))["values"]
schedule = DDPMScheduler.from_config(json.load(open(MODEL + "/scheduler/scheduler_config.json")))
layout = recorded["order"]
layout = layout["value"] if isinstance(layout, dict) else layout


def adapt(adapter, x):
    """The text adapter of LaVi-Bridge, written out."""
    for number, norm in ((1, "norm1"), (2, "norm2")):
        w, b = adapter[norm + ".weight"], adapter[norm + ".bias"]
        x = F.layer_norm(x, w.shape, w, b)
        x, gate = F.linear(x, adapter[f"ff{number}.net.0.proj.weight"], adapter[f"ff{number}.net.0.proj.bias"]).chunk(2, -1)
        x = F.linear(x * F.gelu(gate), adapter[f"ff{number}.net.2.weight"], adapter[f"ff{number}.net.2.bias"])
    return x


def step(prediction, timesteps, dtype):
    unet = UNet2DConditionModel.from_pretrained(MODEL + "/unet_train", torch_dtype=torch.float32).to(dtype).requires_grad_(False)
    adapter = load_file(MODEL + "/s28750_adapter/diffusion_pytorch_model.safetensors")
    adapter = {"adapter." + k: v.to(dtype).requires_grad_() for k, v in adapter.items()}
    lora = torch.load(MODEL + "/lora_train_init.pt")
    names = [n for n in layout if n.startswith("lora.")]
    trained = {n: v.detach().to(dtype).requires_grad_() for n, v in zip(names, lora, strict=True)}
    for name in names[::2]:
        module = unet.get_submodule(name[len("lora.") : -len(".lora_up.weight")])
        up, down = trained[name], trained[name.replace("lora_up", "lora_down")]
        if isinstance(module, torch.nn.Conv2d):
            run = lambda m, x, y, up=up, down=down: y + F.conv2d(F.conv2d(x[0], down, None, m.stride, m.padding), up)
        else:
            run = lambda m, x, y, up=up, down=down: y + F.linear(F.linear(x[0], down), up)
        module.register_forward_hook(run)
    trained.update(adapter)
    latents, noise = inputs["latents"].to(dtype), inputs["noise"][0].to(dtype)
    t = torch.tensor(timesteps)
    text = adapt({k[len("adapter.") :]: v for k, v in adapter.items()}, inputs["t5"].to(dtype))
    context = torch.cat([inputs["clip"].to(dtype), text], 1)
    predicted = unet(schedule.add_noise(latents, noise, t), t, context).sample
    target = {"epsilon": noise, "v_prediction": schedule.get_velocity(latents, noise, t), "sample": latents}[prediction]
    loss = F.mse_loss(predicted, target)
    loss.backward()
    return loss.item(), target, {n: p.grad for n, p in trained.items()}


first = recorded["timesteps"]
first = (first["value"] if isinstance(first, dict) else first)[0]
assert abs(step("epsilon", first, torch.float32)[0] - recorded["loss"]) < 1e-6
for prediction in ("v_prediction", "sample"):
    timesteps = [741, 129]
    loss, target, gradients = step(prediction, timesteps, torch.float32)
    exact, exact_target, exact_gradients = step(prediction, timesteps, torch.float64)
    norm = torch.sqrt(sum((g.double() ** 2).sum() for g in gradients.values())).item()
    small = [n for n in gradients if gradients[n].numel() <= 4096]
    kept = {"grad:" + n: (gradients[n], exact_gradients[n]) for n in small[:: len(small) // KEPT]}
    kept["target"] = (target, exact_target)
    tensors = {n: g.contiguous() for n, (g, _) in kept.items()}
    about = {
        n: dict(
            shape=list(g.shape),
            dtype="float32",
            layout="NCHW" if n == "target" else "",
            meaning="what the prediction is compared with" if n == "target" else "gradient",
            max_abs=g.abs().max().item(),
            float64_max_abs_diff=(g - e).abs().max().item(),
        )
        for n, (g, e) in kept.items()
    }
    values = dict(
        inputs_file=dict(value="one_step.safetensors", meaning="latents, noise, clip and t5 are stored there"),
        prediction_type=prediction,
        timesteps=[timesteps],
        loss=loss,
        loss_float64=exact,
        grad_norm=norm,
    )
    notes = [
        "The initial LoRA values are models/tiny-longsd/lora_train_init.pt, the UNet is models/tiny-longsd/unet_train.",
        "The published code compares with the noise whatever the scheduler's prediction_type: one_step.",
    ]
    versions = dict(torch=torch.__version__, diffusers=__import__("diffusers").__version__)
    title = f"One training step of a network that predicts {prediction}, with the target that belongs to it"
    save_file(tensors, f"{GOLDEN}/align/{prediction}.safetensors")
    with open(f"{GOLDEN}/align/{prediction}.json", "w") as f:
        json.dump(dict(title=title, notes=notes, tensors=about, values=values, generator=versions), f, indent=1)
        f.write("\n")
    print(prediction, loss, norm)
