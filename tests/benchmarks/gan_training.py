"""Training images/s of DCGAN here against the usual script, equal networks and batch, in turns.

The usual script is the loop that PyTorch's own `dcgan` example made common: a DataLoader over PIL pictures,
real and fake through the discriminator one after the other with a backward pass each, then the fakes once
more for the generator, whose backward pass goes through all weights of the discriminator too. This
playground's is all of `train`: batches by index from uint8 in memory, schedules, the average of the weights,
gradient norms.

Run: python tests/benchmarks/gan_training.py [--model dcgan] [--updates 10] [--rounds 7]
"""

import argparse
import dataclasses

import torch
from pictures import loader
from timing import forever, in_turns, rate, report
from torch import nn

from playground import data, device, registry
from playground.spec import ModelSpec
from playground.training import Training, train


def ours(spec: ModelSpec, num_updates: int):
    """A task: some updates of `train`."""
    recipe = dataclasses.replace(spec.recipe, num_steps=10**9)
    events = train(Training(spec, data.load("mnist"), recipe, device=device.pick()))
    return lambda: rate(lambda: next(events), num_updates, recipe.batch_size)


def usual(spec: ModelSpec, num_updates: int):
    """A task: as many updates of the usual script."""
    where, size = device.pick(), spec.recipe.batch_size
    model = spec.build().to(where, memory_format=torch.contiguous_format).train()
    net_g, net_d = model.generator, model.discriminator
    criterion = nn.BCEWithLogitsLoss()
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=spec.recipe.lr, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=spec.recipe.lr, betas=(0.5, 0.999))
    pictures = loader(size)
    batches = forever(lambda: iter(pictures))
    ones, zeros = torch.ones(size, device=where), torch.zeros(size, device=where)

    def update() -> None:
        real, _ = next(batches)
        net_d.zero_grad()
        output = net_d(real.to(where))
        loss_real = criterion(output, ones)
        loss_real.backward()
        d_real = output.mean().item()
        fake = net_g(torch.randn(size, *model.latent_shape, device=where))
        output = net_d(fake.detach())
        loss_fake = criterion(output, zeros)
        loss_fake.backward()
        d_fake = output.mean().item()
        optimizer_d.step()
        net_g.zero_grad()
        output = net_d(fake)
        loss_g = criterion(output, ones)
        loss_g.backward()
        optimizer_g.step()
        _ = (loss_real + loss_fake).item(), loss_g.item(), output.mean().item(), d_real, d_fake  # printed

    return lambda: rate(update, num_updates, size)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="dcgan")
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    spec = registry.spec(arguments.model)
    tasks = {"this playground": ours(spec, arguments.updates), "usual script": usual(spec, arguments.updates)}
    report(f"Training {arguments.model}", in_turns(tasks, arguments.rounds), "images/s", "usual script")


if __name__ == "__main__":
    main()
