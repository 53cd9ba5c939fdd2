"""Sampling on a GPU with the U-Net's pass replayed as a CUDA graph, in turns with the same pass eager.

Needs an NVIDIA GPU; elsewhere it says so and ends. Untrained weights are as fast.

Run: python tests/benchmarks/gpu_graphs.py [--models ddpm flow_matching] [--batches 1 16 64 256] [--steps 50]
"""

import argparse

import torch
from timing import in_turns, rate, report

from playground import graphs, registry


def draw(model, spec, batch: int, num_steps: int, recorded: bool):
    """A task: one batch of pictures, recorded or not."""
    labels = torch.arange(batch, device="cuda") % 10 if spec.conditional else None
    controls = spec.defaults() | {"num_steps": num_steps}

    @torch.no_grad()
    def once() -> None:
        graphs.enabled = recorded
        generator = torch.Generator().manual_seed(0)
        for moment in model.sample(batch, labels=labels, generator=generator, **controls):
            last = moment.x
        last.cpu()

    return lambda: rate(once, 1, batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["ddpm", "flow_matching"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64, 256])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This benchmark needs an NVIDIA GPU; there is none here.")
    print(torch.cuda.get_device_name())
    for name in arguments.models:
        spec, model = registry.spec(name), registry.build(name).eval().requires_grad_(False).to("cuda")
        for batch in arguments.batches:
            tasks = {
                "eager": draw(model, spec, batch, arguments.steps, False),
                "CUDA graph": draw(model, spec, batch, arguments.steps, True),
            }
            found = in_turns(tasks, arguments.rounds)
            report(f"{name}, {arguments.steps} steps, {batch} at once", found, "images/s", "eager")


if __name__ == "__main__":
    main()
