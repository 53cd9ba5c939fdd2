"""The pairs that the hybrids and the fast models are measured by, in turns: milliseconds a picture.

- `ddgan` against `ddpm` with 100 DDIM steps (target: 1/20 of the time or less)
- `vqvae` against `pixelcnn`
- `flow_matching` with 10 Euler steps against `ddpm` with 50 DDIM steps, guidance as shipped

With `--fid N` the pairs' Frechet distances from N pictures each are printed too, of the shipped weights:
`ddgan` at most 1.3 times `ddpm`, `flow_matching` at most 1 time. Equal N: the distance falls with N.

Run: python tests/benchmarks/hybrids.py [--batch 16] [--rounds 3] [--fid 2000] [--pairs ddgan vqvae]
"""

import argparse
import statistics

import torch
from diffusion_sampling import features
from timing import in_turns, rate, ratio_quartiles

from playground import device, judge, metrics, registry

PAIRS = {  # the fast one and what it is measured by, each with its controls
    "ddgan": (("ddgan", {}), ("ddpm", {"scheduler": "DDIM", "num_steps": 100})),
    "vqvae": (("vqvae", {}), ("pixelcnn", {})),
    "flow_matching": (
        ("flow_matching", {"solver": "Euler", "num_steps": 10}),
        ("ddpm", {"scheduler": "DDIM", "num_steps": 50}),
    ),
}


def shown(name: str, controls: dict) -> str:
    """The model and what it was told."""
    return " ".join([name, *map(str, controls.values())])


def load(name: str, fid: bool):
    """The shipped weights where distances are asked for; untrained ones are as fast."""
    if fid:
        return registry.load(name)
    return registry.build(name).eval().requires_grad_(False).to(device.pick())


def task(model, name: str, controls: dict, batch: int):
    """Milliseconds a picture."""
    spec, where = registry.spec(name), device.pick()
    labels = torch.arange(batch, device=where) % 10 if spec.conditional else None
    told = spec.defaults() | controls

    @torch.no_grad()
    def once() -> None:
        generator = torch.Generator().manual_seed(0)
        for moment in model.sample(batch, labels=labels, generator=generator, **told):
            last = moment.x
        last.cpu()

    return lambda: 1000 / rate(once, 1, batch)


def distance(model, name: str, controls: dict, num: int, real: torch.Tensor) -> float:
    """Frechet distance to the training set, of pictures of every class in turn."""
    return metrics.fid(real, features(model, num, 64, **registry.spec(name).defaults() | controls))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fid", type=int, default=0, help="pictures, 0 for no distances")
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    arguments = parser.parse_args()
    for pair in arguments.pairs:
        sides = [(shown(*side), load(side[0], bool(arguments.fid)), *side) for side in PAIRS[pair]]
        tasks = {title: task(model, *side, arguments.batch) for title, model, *side in sides}
        found = in_turns(tasks, arguments.rounds)
        print(f"{arguments.batch} at once ({torch.get_num_threads()} threads, {arguments.rounds} rounds)")
        for title, values in found.items():
            print(f"  {title:<28} {statistics.median(values):>9.4g} ms a picture")
        fast, slow = found.values()
        print(f"  time ratio {ratio_quartiles(fast, slow)[1]:.4f} (1/{ratio_quartiles(slow, fast)[1]:.1f})")
        if arguments.fid:
            real = judge.features("mnist", "train", 256)
            far = [distance(model, *side, arguments.fid, real) for _, model, *side in sides]
            distances = f"{far[0]:.4f} and {far[1]:.4f}, ratio {far[0] / far[1]:.3f}"
            print(f"  Frechet distance of {arguments.fid}: {distances}")


if __name__ == "__main__":
    main()
