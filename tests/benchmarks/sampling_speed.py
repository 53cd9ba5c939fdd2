"""Sampling images/s by model and batch, default controls, models in turns; untrained weights are as fast.

Run: python tests/benchmarks/sampling_speed.py [--models vae ddpm] [--batches 1 16 64] [--rounds 3]
"""

import argparse

import torch
from timing import in_turns, rate, report

from playground import device, registry


def draw(name: str, batch: int):
    """A task that draws one batch and returns images/s."""
    spec, where = registry.spec(name), device.pick()
    model = registry.build(name).eval().to(where)
    labels = torch.arange(batch, device=where) % 10 if spec.conditional else None

    @torch.no_grad()
    def once() -> None:
        generator = torch.Generator().manual_seed(0)
        for moment in model.sample(batch, labels=labels, generator=generator, **spec.defaults()):
            last = moment.x
        last.cpu()

    return lambda: rate(once, 1, batch)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=registry.names("Samples"))
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for batch in arguments.batches:
        tasks = {name: draw(name, batch) for name in arguments.models}
        found = in_turns(tasks, arguments.rounds)
        report(f"Sampling {batch} at once", found, "images/s", arguments.models[0])


if __name__ == "__main__":
    main()
