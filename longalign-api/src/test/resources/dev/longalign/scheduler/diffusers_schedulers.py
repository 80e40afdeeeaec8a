# Makes diffusers_schedulers.json, beside this file: whole runs of diffusers 0.40's schedulers on a synthetic network.
# randn_tensor of diffusers.utils.torch_utils is replaced by one that returns the noise put into NOISES:
#   NOISES = []
#   def randn_tensor(shape, generator=None, device=None, dtype=None, layout=None): return NOISES.pop(0)
import json, math, numpy as np, torch, diffusers.utils.torch_utils as tu
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler as UNIPC
from diffusers.schedulers.scheduling_lcm import LCMScheduler as LCM
from diffusers.schedulers.scheduling_ddim import DDIMScheduler as DDIM
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler as DDPM
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler as EULER
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler as EULER_ANCESTRAL
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler as DPMPP_2M

SD = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
          set_alpha_to_one=False, steps_offset=1)
wave = lambda a, b: torch.tensor([math.sin(a * j + b) * 1.5 for j in range(6)], dtype=torch.float32).view(1, 2, 1, 3)
c, start = wave(0.9, 0.2), wave(1.3, 0.7)
noise = lambda i: wave(1.7, 0.3 + i)
sd = lambda **extra: {**SD, **extra}
cases = []

def run(kind, config, steps, strength=1.0, eta=0.0):
    s = kind.from_config(config)
    s.set_timesteps(steps, **({"strength": strength} if kind is LCM else {}))
    first = 0 if kind is LCM else max(steps - min(int(steps * strength), steps), 0)
    ts = s.timesteps[first:]
    if strength < 1 and hasattr(s, "set_begin_index"): s.set_begin_index(first)
    x = s.add_noise(start, noise(99), ts[:1]) if strength < 1 else start * s.init_noise_sigma
    latents = []
    for i, t in enumerate(ts):
        out = 0.1 * s.scale_model_input(x, t) + math.sin(0.01 * float(t)) * c
        tu.NOISES[:] = [noise(i)]
        x = (s.step(out, t, x, eta=eta) if kind is DDIM else s.step(out, t, x)).prev_sample
        latents.append(x.flatten())
    keep = sorted({len(latents) // 2, len(latents) - 1})
    cases.append(dict(scheduler=kind.__name__, config=config if "beta_start" not in config else {"sd": True, **{k: v for k, v in config.items() if SD.get(k) != v}}, steps=steps, strength=strength, eta=eta,
        timesteps=[round(float(t), 4) for t in (ts if len(ts) < 9 else torch.cat([ts[:4], ts[-4:]]))],
        init_noise_sigma=float("%.7g" % s.init_noise_sigma),
        latents={k: [float("%.7g" % v) for v in latents[k].tolist()] for k in keep}))

for kind in (UNIPC, DDIM, DDPM, EULER, EULER_ANCESTRAL, DPMPP_2M):
    run(kind, SD, 25)
    for spacing in ("leading", "trailing", "linspace"):
        run(kind, sd(timestep_spacing=spacing), 7)
    run(kind, sd(prediction_type="v_prediction", timestep_spacing="trailing"), 11)
    run(kind, sd(prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True), 5)
    run(kind, SD, 10, strength=0.65)
    run(kind, {"num_train_timesteps": 37, "beta_schedule": "squaredcos_cap_v2", "steps_offset": 0}, 3)
    run(kind, {}, 49)
    run(kind, sd(timestep_spacing="trailing"), 1)
for kind in (UNIPC, DPMPP_2M, EULER):
    run(kind, sd(use_karras_sigmas=True), 12)
    run(kind, sd(final_sigmas_type="sigma_min"), 8)
    run(kind, sd(use_karras_sigmas=True, final_sigmas_type="sigma_min", beta_schedule="linear"), 16)
for kind in (UNIPC, DDIM, DDPM, EULER, DPMPP_2M):
    run(kind, sd(prediction_type="sample"), 6)
for extra in (dict(solver_order=1), dict(solver_order=3), dict(solver_order=3, lower_order_final=False, final_sigmas_type="sigma_min")):
    for kind in (UNIPC, DPMPP_2M): run(kind, sd(**extra), 9)
run(UNIPC, sd(solver_type="bh1", final_sigmas_type="sigma_min"), 9)
run(UNIPC, sd(solver_type="bh1", solver_order=3, final_sigmas_type="sigma_min"), 9)
run(UNIPC, sd(disable_corrector=[0, 3]), 9)
run(DPMPP_2M, sd(solver_type="heun"), 9)
run(DPMPP_2M, sd(solver_order=3), 20)
run(DPMPP_2M, sd(euler_at_final=True, final_sigmas_type="sigma_min"), 20)
run(DPMPP_2M, sd(lambda_min_clipped=-1.5), 9)
for eta in (0.5, 1.0): run(DDIM, SD, 9, eta=eta)
run(DDIM, sd(clip_sample=True, clip_sample_range=0.8, set_alpha_to_one=True), 9, eta=0.3)
for variance in ("fixed_small_log", "fixed_large"): run(DDPM, sd(variance_type=variance), 9)
run(DDPM, sd(clip_sample=True), 9)
run(DDIM, {"num_train_timesteps": 6, "trained_betas": [0.01, 0.03, 0.02, 0.1, 0.2, 0.3]}, 3)
for steps in (1, 3, 4, 8, 50): run(LCM, SD, steps)
run(LCM, sd(clip_sample=True, prediction_type="v_prediction", original_inference_steps=40), 5)
run(LCM, SD, 4, strength=0.6)
# As many steps as timesteps, of which only those that strength leaves need be possible; more steps than timesteps.
for kind in (DDIM, DDPM): run(kind, SD, 1000, strength=0.1)
for kind in (UNIPC, DPMPP_2M, EULER):
    run(kind, SD, 999, strength=0.4)
    run(kind, SD, 1000, strength=0.3)
few = {"num_train_timesteps": 37, "beta_schedule": "squaredcos_cap_v2"}
for kind in (EULER, EULER_ANCESTRAL):
    for spacing in ("linspace", "trailing"): run(kind, {**few, "timestep_spacing": spacing}, 50)
run(UNIPC, {**few, "timestep_spacing": "trailing"}, 38, strength=0.5)
run(DPMPP_2M, {**few, "solver_order": 1, "timestep_spacing": "trailing"}, 50, strength=0.5)
open("diffusers_schedulers.json", "w").write("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]\n")
