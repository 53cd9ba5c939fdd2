"""CycleGAN's training images/s here against a plain script of the official project's kind; ms for one emoji.

The plain script has the same networks and batch, built as the official project builds them (one
`nn.Sequential` each, with `InstanceNorm2d` modules), and its update step by step: both translations, both
ways back, both identities, a generator's pass each; then either discriminator on real and on old fakes, a
pass each, with a pool of 50; pictures come from a `DataLoader`. This playground's is all of `train`: batches
by index from uint8 in memory, real and target through a generator at once, schedules, averaged weights.

Run: python tests/benchmarks/translation.py [--model cyclegan] [--updates 5] [--rounds 7]
"""

import argparse
import dataclasses
import itertools
import random
import time

import torch
from timing import forever, in_turns, rate, report
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from playground import data, device, registry, translating
from playground.spec import ModelSpec
from playground.training import Training, train

_RUNS = 50


class Block(nn.Module):
    """A residual block as the project has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*half, nn.ReLU(True), *again)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


def generator(given: int, made: int, width: int, num_blocks: int) -> nn.Module:
    """The ResNet generator."""
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(given, width, 7), nn.InstanceNorm2d(width), nn.ReLU(True)]
    for w in (width, 2 * width):
        layers += [nn.Conv2d(w, 2 * w, 3, 2, 1), nn.InstanceNorm2d(2 * w), nn.ReLU(True)]
    layers += [Block(4 * width) for _ in range(num_blocks)]
    for w in (4 * width, 2 * width):
        layers += [nn.ConvTranspose2d(w, w // 2, 3, 2, 1, output_padding=1)]
        layers += [nn.InstanceNorm2d(w // 2), nn.ReLU(True)]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, made, 7), nn.Tanh())


def discriminator(given: int, width: int, num_layers: int) -> nn.Module:
    """The PatchGAN discriminator."""
    layers = [nn.Conv2d(given, width, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for n in range(1, num_layers + 1):
        narrow, wide = width * min(2 ** (n - 1), 8), width * min(2**n, 8)
        layers += [nn.Conv2d(narrow, wide, 4, 2 if n < num_layers else 1, 1)]
        layers += [nn.InstanceNorm2d(wide), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(wide, 1, 4, 1, 1))


class Pool:
    """Fifty old fakes."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def query(self, fakes: Tensor) -> Tensor:
        shown = []
        for fake in fakes.detach():
            if len(self.kept) < 50:
                self.kept.append(fake)
            elif random.random() > 0.5:
                place = random.randrange(50)
                fake, self.kept[place] = self.kept[place].clone(), fake
            shown.append(fake)
        return torch.stack(shown)


def ours(spec: ModelSpec, num_updates: int):
    """A task: some updates of `train`."""
    recipe = dataclasses.replace(spec.recipe, num_steps=10**9)
    events = train(Training(spec, data.load(spec.dataset), recipe, device=device.pick()))
    return lambda: rate(lambda: next(events), num_updates, recipe.batch_size)


def usual(spec: ModelSpec, num_updates: int):
    """A task: as many updates of the plain script."""
    where, c, (a, b) = device.pick(), spec.config, spec.config.channels
    net_ab, net_ba = (generator(*io, c.width, c.num_blocks).to(where) for io in ((a, b), (b, a)))
    net_a, net_b = (discriminator(given, c.d_width, c.d_layers).to(where) for given in (a, b))
    nets_g = itertools.chain(net_ab.parameters(), net_ba.parameters())
    nets_d = itertools.chain(net_a.parameters(), net_b.parameters())
    optimizer_g = torch.optim.Adam(nets_g, lr=spec.recipe.lr, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(nets_d, lr=spec.recipe.lr, betas=(0.5, 0.999))
    l1, mse, pools = nn.L1Loss(), nn.MSELoss(), (Pool(), Pool())
    x = data.to_float(data.load(spec.dataset).images)
    loader = DataLoader(
        TensorDataset(x[:, :a], x[:, a:]), spec.recipe.batch_size, shuffle=True, drop_last=True
    )
    batches = forever(lambda: iter(loader))

    def says(output: Tensor, real: bool) -> Tensor:
        return mse(output, torch.full_like(output, float(real)))

    def update() -> None:
        real_a, real_b = (part.to(where) for part in next(batches))
        fake_b, fake_a = net_ab(real_a), net_ba(real_b)
        rec_a, rec_b = net_ba(fake_b), net_ab(fake_a)
        for net in (net_a, net_b):
            net.requires_grad_(False)
        optimizer_g.zero_grad()
        loss = says(net_b(fake_b), True) + says(net_a(fake_a), True)
        loss = loss + 10 * (l1(rec_a, real_a) + l1(rec_b, real_b))
        if a == b:
            loss = loss + 5 * (l1(net_ba(real_a), real_a) + l1(net_ab(real_b), real_b))
        loss.backward()
        optimizer_g.step()
        for net in (net_a, net_b):
            net.requires_grad_(True)
        optimizer_d.zero_grad()
        for net, real, fake, pool in ((net_a, real_a, fake_a, pools[0]), (net_b, real_b, fake_b, pools[1])):
            loss_d = 0.5 * (says(net(real), True) + says(net(pool.query(fake)), False))
            loss_d.backward()
            _ = loss_d.item()
        optimizer_d.step()
        _ = loss.item()

    return lambda: rate(update, num_updates, spec.recipe.batch_size)


def milliseconds(spec: ModelSpec) -> float:
    """Of one picture at a time, the best of some runs."""
    model = spec.build().eval().requires_grad_(False).to(device.pick())
    way = translating.route(spec, translating.directions(spec)[0])
    x = data.to_float(translating.held_out(way)[0][:1]).to(device.pick())
    best = float("inf")
    for _ in range(_RUNS):
        start = time.perf_counter()
        model.translate(x, way.direction).cpu()
        best = min(best, 1000 * (time.perf_counter() - start))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cyclegan")
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    spec = registry.spec(arguments.model)
    tasks = {"this playground": ours(spec, arguments.updates), "plain script": usual(spec, arguments.updates)}
    report(f"Training {arguments.model}", in_turns(tasks, arguments.rounds), "images/s", "plain script")
    for name in registry.names("Translates"):
        print(f"  {name:<28} {milliseconds(registry.spec(name)):>9.4g} ms a picture, one at a time")


if __name__ == "__main__":
    main()
