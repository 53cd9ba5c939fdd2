"""Training images/s of our `ddpm` against diffusers' UNet2DModel of about equal parameters, in turns.

Theirs runs in the loop of diffusers' own tutorial on training (a DataLoader over PIL pictures,
`DDPMScheduler.add_noise`, mean squared error, clipped gradients, AdamW, cosine schedule), labels given as to
ours; its blocks are the tutorial's, two layers each, on 28, 14 and 7 pixels and narrowed to our number of
parameters, once with attention at the coarsest and once without any. Ours runs as `pretrain` runs it. The
target is 1.8.

Run: python tests/benchmarks/ddpm_vs_diffusers.py [--updates 3] [--rounds 5] [--batch 64]
"""

import argparse
import dataclasses

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from pictures import loader
from timing import forever, in_turns, rate, report

from playground import data, device, registry
from playground.training import Training, train

LAYOUTS = {  # name: (widths as multiples of the first, attention at the last level)
    "28, 14, 7 with attention": ((1, 2, 4), True),
    "28, 14, 7 without": ((1, 2, 4), False),
}


def build(multiples: tuple[int, ...], attention: bool, width: int) -> UNet2DModel:
    """Diffusers' U-Net with two layers a block."""
    plain_down, plain_up = ("DownBlock2D",) * (len(multiples) - 1), ("UpBlock2D",) * (len(multiples) - 1)
    return UNet2DModel(
        sample_size=28, in_channels=1, out_channels=1, layers_per_block=2,
        num_class_embeds=11, norm_num_groups=8,
        block_out_channels=tuple(width * m for m in multiples), add_attention=attention,
        down_block_types=(*plain_down, "AttnDownBlock2D" if attention else "DownBlock2D"),
        up_block_types=("AttnUpBlock2D" if attention else "UpBlock2D", *plain_up),
    )  # fmt: skip


def nearest(multiples: tuple[int, ...], attention: bool, num_parameters: int) -> UNet2DModel:
    """The width whose number of parameters is nearest to ours."""
    models = [build(multiples, attention, width) for width in (8, 16, 24, 32, 40)]
    return min(models, key=lambda model: abs(count(model) - num_parameters))


def count(model: torch.nn.Module) -> int:
    """Its number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def theirs(model: UNet2DModel, batch_size: int, num_updates: int):
    """A task: some updates of the tutorial's loop."""
    where = device.pick()
    model.to(where).train()
    scheduler, pictures = DDPMScheduler(num_train_timesteps=1000), loader(batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    schedule = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=500, num_training_steps=100_000)
    batches = forever(lambda: iter(pictures))

    def update() -> None:
        clean, labels = (part.to(where) for part in next(batches))
        noise = torch.randn(clean.shape, device=where)
        timesteps = torch.randint(0, 1000, (len(clean),), device=where)
        noisy = scheduler.add_noise(clean, noise, timesteps)
        loss = F.mse_loss(model(noisy, timesteps, labels, return_dict=False)[0], noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss.item()

    return lambda: rate(update, num_updates, batch_size)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    spec = registry.spec("ddpm")
    recipe = dataclasses.replace(spec.recipe, num_steps=10**9, batch_size=arguments.batch)
    training = Training(spec, data.load("mnist"), recipe, device=device.pick())
    events = train(training)
    tasks = {"ddpm, ours": lambda: rate(lambda: next(events), arguments.updates, arguments.batch)}
    print(f"ddpm: {count(training.model):,} parameters")
    for name, (multiples, attention) in LAYOUTS.items():
        model = nearest(multiples, attention, count(training.model))
        print(f"diffusers, {name}: {count(model):,} parameters, widths {model.config.block_out_channels}")
        tasks[name] = theirs(model, arguments.batch, arguments.updates)
    found = in_turns(tasks, arguments.rounds)
    for name in LAYOUTS:
        pair = {"ddpm, ours": found["ddpm, ours"], name: found[name]}
        report(f"Training, batch {arguments.batch}", pair, "images/s", name)


if __name__ == "__main__":
    main()
