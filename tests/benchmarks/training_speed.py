"""Training images/s of each model: this playground's loop against the plain one, in turns.

The plain loop is what most scripts have: a DataLoader over PIL pictures, then the same update. This
playground's is the whole of it, as `pretrain` runs it: batches by index from uint8 in memory, the learning
rate's schedule, the average of the weights, events.

Run: python tests/benchmarks/training_speed.py [--models vae dcgan] [--updates 5] [--rounds 5]
"""

import argparse
import dataclasses

import torch
from pictures import loader
from timing import forever, in_turns, rate, report

from playground import data, device, registry
from playground.spec import Batch, ModelSpec
from playground.training import Training, train


def ours(spec: ModelSpec, num_updates: int):
    """A task: some updates of `train`."""
    recipe = dataclasses.replace(spec.recipe, num_steps=10**9)
    events = train(Training(spec, data.load("mnist"), recipe, device=device.pick()))
    return lambda: rate(lambda: next(events), num_updates, recipe.batch_size)


def plain(spec: ModelSpec, num_updates: int):
    """A task: as many updates of the plain loop."""
    where = device.pick()
    model = spec.build().to(where).train()
    optimizers = model.make_optimizers(spec.recipe)
    generator = torch.Generator(where).manual_seed(0)
    pictures = loader(spec.recipe.batch_size)
    batches = forever(lambda: iter(pictures))

    def update() -> None:
        x, labels = next(batches)
        model.train_step(Batch(x.to(where), labels.to(where), generator, 0.0), optimizers)

    return lambda: rate(update, num_updates, spec.recipe.batch_size)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=registry.names("Samples"))
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for name in arguments.models:
        spec = registry.spec(name)
        tasks = {
            "this playground": ours(spec, arguments.updates),
            "plain loop": plain(spec, arguments.updates),
        }
        report(f"Training {name}", in_turns(tasks, arguments.rounds), "images/s", "plain loop")


if __name__ == "__main__":
    main()
