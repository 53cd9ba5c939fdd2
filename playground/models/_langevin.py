"""A GAN whose discriminator helps to draw: Langevin dynamics in its latents (Che et al. 2020, 2003.06060).

The discriminator is usually thrown away after the training. But what it has learnt, log p_data(x) / p_G(x) if
it is a classifier, is just what is still wrong with the generator's pictures, and the two together are an
energy-based model of the latents, of which Langevin dynamics draws:

    E(z) = |z|^2 / 2 - w D(G(z)),        z <- z - eps / 2 grad E(z) + sqrt(eps) n,        n ~ N(0, I)

w is 1 for a classifier whose output is the logit (which a real label below 1 flattens where D is sure); a
critic knows its scale only up to a factor: w.
The walk is short, from where the generator alone would have drawn: it repairs pictures and stays near them.

A discriminator with batch norm reads a batch as a whole: what it says of a picture depends on the others. It
learnt on batches of the generator's, so it is asked as if each picture were one of very many of those.
"""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from playground.models._gan import ConvGAN
from playground.nn import randint, randn
from playground.spec import Control, SampleStep, Words

POPULATION = 512  # pictures of the generator's whose statistics the discriminator goes by


class PopulationNorm(nn.Module):
    """Batch norm with the averages of the first batch it sees, the population, whatever batches follow.

    A gradient through batch norm holds two more averages, for a picture moves the mean and the variance of
    its batch too (Ioffe & Szegedy 2015, 1502.03167, section 3); these are the population's as well. So the
    gradient of the summed outputs is, for each picture, what it would be as one of the population.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        """Scale and shift are the given one's."""
        super().__init__()
        self.norm = norm
        self.averages: list[Tensor] = []
        self.pulls: list[Tensor] = []

    def forward(self, h: Tensor) -> Tensor:
        """(B, C, H, W), the same shape; the first time with a gradient, which must be asked for."""
        if not self.averages:
            self.averages = list(torch.var_mean(h.detach(), (0, 2, 3), correction=0, keepdim=True))
        var, mean = self.averages
        x = (h - mean) / (var + self.norm.eps).sqrt()
        x.register_hook(partial(self._pull, x.detach()))
        return x * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]

    def _pull(self, x: Tensor, grad: Tensor) -> Tensor:
        if not self.pulls:
            self.pulls = [part.mean((0, 2, 3), keepdim=True) for part in (grad, grad * x)]
        return grad - self.pulls[0] - x * self.pulls[1]


class LangevinGAN(ConvGAN):
    """DCGAN's two networks, the discriminator helping to draw; a subclass says how far to walk."""

    langevin = 0  # steps, unless a sampler is told otherwise
    step_size = 0.01  # eps
    weight = 1.0  # of D's output in the energy
    _judged: tuple[Any, nn.Module] | None = None  # the judge, and what it was made of

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw as the generator alone does, then walk ``langevin`` steps; each is a moment.

        A step evaluates both networks and, for the gradient, goes back through both: `nfe` counts four.
        """
        num_steps = controls.get("langevin", self.langevin)
        if num_steps == 0:
            yield from super().sample(num, labels=labels, generator=generator, **controls)
            return
        device, width = next(self.parameters()).device, controls.get("truncation", self.truncation)
        z = randn((num, *self.latent_shape), generator, device)
        if self.num_classes:
            labels = (randint(self.num_classes, num, generator) if labels is None else labels).to(device)
        judge = self._kept_judge(device)
        for step in range(num_steps):
            x, gradient = self._score(judge, z, width, labels)
            yield SampleStep(step + 1, num_steps + 1, x, 4 * step + 1)
            noise = randn(z.shape, generator, device)
            z = z + self.step_size / 2 * (self.weight * gradient - z) + self.step_size**0.5 * noise
        yield SampleStep(num_steps + 1, num_steps + 1, self.decode(width * z, labels), 4 * num_steps + 1)

    def _kept_judge(self, device: torch.device) -> nn.Module:
        """`_judge`, made anew only where a weight has changed since, as it does in a training."""
        made_of = device, [value._version for value in self.state_dict(keep_vars=True).values()]
        if self._judged is None or self._judged[0] != made_of:
            self._judged = made_of, self._judge(device)
        return self._judged[1]

    def _judge(self, device: torch.device) -> nn.Module:
        """A copy of the discriminator that judges any pictures as if they were among POPULATION others."""
        judge = copy.deepcopy(self.discriminator)
        for parent in list(judge.modules()):
            for name, part in parent.named_children():
                if isinstance(part, nn.BatchNorm2d):
                    setattr(parent, name, PopulationNorm(part))
        generator = torch.Generator().manual_seed(0)  # always the same, so the pictures asked for do not vary
        z = self.draw(POPULATION, generator, device)
        labels = randint(self.num_classes, POPULATION, generator).to(device) if self.num_classes else None
        self._score(judge, z, 1.0, labels)
        return judge

    @torch.enable_grad()
    def _score(
        self, judge: nn.Module, z: Tensor, width: float, labels: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The pictures of latents (B, latent_dim), and the gradient of the judge's outputs by the latents.

        The generator sees `width` times z: truncation narrows the prior, and the walk keeps to it.
        """
        z = z.detach().requires_grad_()
        x = self.decode(width * z, labels)
        (gradient,) = torch.autograd.grad(judge(x, labels).sum(), z)
        return x.detach(), gradient


def langevin_control(default: int) -> Control:
    """How many steps to walk."""
    return Control(
        key="langevin",
        label=Words("Langevin steps", "朗之万步数"),
        default=default,
        minimum=0,
        maximum=50,
        step=1,
        info=Words(
            en="How often the discriminator's gradient corrects the picture. 0 shows the generator alone.",
            zh="用判别器的梯度修正图片多少次。0 表示只看生成器本身。",
        ),
    )
