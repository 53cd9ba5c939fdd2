"""Our sampling loop against diffusers' own pipelines on the same U-Net and scheduler; and few steps.

First the images/s of `ddpm`'s `sample` and of diffusers' `DDPMPipeline` and `DDIMPipeline`, in turns. They
are given the same network (without labels), the same scheduler and the same number of steps; the target is a
ratio of 1 or more. Then, with `--fid N`, the Frechet distance of N pictures by DPM-Solver++ at 10 network
evaluations and by DDIM at 100, of the shipped weights; the target is a ratio of at most 1.1.

Run: python tests/benchmarks/diffusion_sampling.py [--batch 16] [--steps 10] [--rounds 5] [--fid 2000]
"""

import argparse
from types import SimpleNamespace

import torch
from diffusers import ConfigMixin, DDIMPipeline, DDPMPipeline, ModelMixin
from diffusers.configuration_utils import register_to_config
from timing import in_turns, rate, report

from playground import data, device, judge, metrics, registry
from playground.models._solvers import make_scheduler

PIPELINES = {"DDPM": DDPMPipeline, "DDIM": DDIMPipeline}


class Wrapped(ModelMixin, ConfigMixin):
    """Our U-Net as diffusers' pipelines call one: x_t and t in, an object with ``sample`` out."""

    @register_to_config
    def __init__(self, in_channels: int = 1, sample_size: int = 28) -> None:
        """The network is set afterwards, for a configuration holds plain values only."""
        super().__init__()
        self.net = torch.nn.Identity()

    def forward(self, sample: torch.Tensor, timestep: torch.Tensor) -> SimpleNamespace:
        """(B, C, H, W) and one timestep -> v_hat."""
        time = (timestep / 1000).to(sample.device).expand(len(sample))
        return SimpleNamespace(sample=self.net(sample, time))


def ours(model, scheduler: str, batch: int, num_steps: int):
    """A task: one batch by `sample`, without labels."""

    @torch.no_grad()
    def once() -> None:
        generator = torch.Generator().manual_seed(0)
        for moment in model.sample(
            batch, generator=generator, scheduler=scheduler, num_steps=num_steps, guidance=0.0
        ):
            last = moment.x
        last.cpu().numpy()

    return lambda: rate(once, 1, batch)


def theirs(model, scheduler: str, batch: int, num_steps: int):
    """A task: one batch by diffusers' pipeline."""
    unet = Wrapped()
    unet.net = model.denoiser
    pipeline = PIPELINES[scheduler](unet=unet.eval(), scheduler=make_scheduler(scheduler, num_steps))
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device.pick())

    def once() -> None:
        generator = torch.Generator().manual_seed(0)
        pipeline(batch, generator=generator, num_inference_steps=num_steps, output_type="np")

    return lambda: rate(once, 1, batch)


@torch.no_grad()
def features(model, num: int, batch: int, **controls) -> torch.Tensor:
    """(num, F) of the classifier, of pictures of the classes as often as in the data."""
    found, labels = [], data.in_proportion("mnist", num)
    for start in range(0, num, batch):
        size = min(batch, num - start)
        generator = torch.Generator().manual_seed(start)
        *_, last = model.sample(size, labels=labels[start : start + size], generator=generator, **controls)
        found.append(judge.look(last.x)[0])
    return torch.cat(found)


def few_steps(num: int) -> None:
    """Print both distances and their ratio."""
    model, real = registry.load("ddpm"), judge.features("mnist", "train", 256)
    found = {}
    for scheduler, num_steps in (("DDIM", 100), ("DPM-Solver++", 10)):
        fake = features(model, num, 64, scheduler=scheduler, num_steps=num_steps, guidance=1.0)
        found[scheduler] = metrics.fid(real, fake)
        print(f"  {scheduler:<14} {num_steps:>4} evaluations: {found[scheduler]:.4f} ({num} pictures)")
    print(f"  ratio {found['DPM-Solver++'] / found['DDIM']:.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fid", type=int, default=0, help="pictures, 0 for no distances")
    arguments = parser.parse_args()
    model = registry.build("ddpm").eval().requires_grad_(False).to(device.pick())
    for scheduler in PIPELINES:
        tasks = {
            "ours": ours(model, scheduler, arguments.batch, arguments.steps),
            "diffusers' pipeline": theirs(model, scheduler, arguments.batch, arguments.steps),
        }
        found = in_turns(tasks, arguments.rounds)
        title = f"{scheduler}, {arguments.steps} steps, batch {arguments.batch}"
        report(title, found, "images/s", "diffusers' pipeline")
    if arguments.fid:
        print("Frechet distance to the training set, shipped weights")
        few_steps(arguments.fid)


if __name__ == "__main__":
    main()
