"""Milliseconds from asking to the first picture that can be drawn on the page, for a model of every family.

As the Sample tab does it: the model is loaded already, its first moment is turned into a PNG. Models take
turns; the target is 500 ms for every family on two cores.

Run: python tests/benchmarks/first_frame.py [--num 16] [--rounds 5] [--models ddpm vae]
"""

import argparse
import statistics
import time

import torch
from timing import in_turns

from playground import device, figures, registry

TARGET = 500.0  # ms


def first_frame(name: str, num: int):
    """A task: milliseconds to the first moment of the model's defaults, drawn."""
    spec, where = registry.spec(name), device.pick()
    model = registry.build(name).eval().requires_grad_(False).to(where)  # untrained weights are as fast
    labels = torch.arange(num, device=where) % 10 if spec.conditional else None

    @torch.no_grad()
    def once() -> float:
        start = time.perf_counter()
        generator = torch.Generator().manual_seed(0)
        moment = next(iter(model.sample(num, labels=labels, generator=generator, **spec.defaults())))
        figures.png_data_uri(figures.grid(moment.x.cpu()))
        return 1000 * (time.perf_counter() - start)

    return once


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=registry.names("Samples"))
    arguments = parser.parse_args()
    found = in_turns({name: first_frame(name, arguments.num) for name in arguments.models}, arguments.rounds)
    threads = torch.get_num_threads()
    print(f"First frame of {arguments.num} pictures ({threads} threads, {arguments.rounds} rounds in turns)")
    slowest: dict[str, float] = {}
    for name, values in found.items():
        median, family = statistics.median(values), registry.spec(name).family
        slowest[family] = max(median, slowest.get(family, 0.0))
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"  {name:<18} {family:<16} {median:>7.0f} ms ({spread})")
    print(f"Slowest of each family, target {TARGET:.0f} ms")
    for family, median in slowest.items():
        print(f"  {family:<16} {median:>7.0f} ms  ratio to the target {median / TARGET:.2f}")


if __name__ == "__main__":
    main()
