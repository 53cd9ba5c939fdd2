"""A GAN whose discriminator helps to draw: Langevin dynamics in its latents (Che et al. 2020, 2003.06060).

The discriminator is usually thrown away after the training. But what it has learnt, log p_data(x) / p_G(x) if
it is a classifier, is just what is still wrong with the generator's pictures, and the two together are an
energy-based model of the latents, of which Langevin dynamics draws:

    E(z) = |z|^2 / 2 - w D(G(z)),        z <- z - eps / 2 grad E(z) + sqrt(eps) n,        n ~ N(0, I)

w is 1 for a classifier whose output is the logit (which a real label below 1 flattens where D is sure); a
critic knows its scale only up to a factor: w.
The walk is short, from where the generator alone would have drawn: it repairs pictures and stays near them.

A discriminator with batch norm reads a batch as a whole, so that the gradient moves each picture towards what
the batch lacks. A few pictures would be no such batch: they have companions, drawn along and thrown away.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from playground.models._gan import ConvGAN
from playground.nn import randint, randn
from playground.spec import Control, SampleStep, Words

MIN_CHAINS = 64  # walk together, at least


class LangevinGAN(ConvGAN):
    """DCGAN's two networks, the discriminator helping to draw; a subclass says how far to walk."""

    langevin = 0  # steps, unless a sampler is told otherwise
    step_size = 0.01  # eps
    weight = 1.0  # of D's output in the energy

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
        z, labels = self._start(num, labels, generator, device)
        for step in range(num_steps):
            x, gradient = self._score(z, width, labels)
            yield SampleStep(step + 1, num_steps + 1, x[:num], 4 * step + 1)
            noise = randn(z.shape, generator, device)
            z = z + self.step_size / 2 * (self.weight * gradient - z) + self.step_size**0.5 * noise
        x = self.decode(width * z[:num], None if labels is None else labels[:num])
        yield SampleStep(num_steps + 1, num_steps + 1, x, 4 * num_steps + 1)

    def _start(
        self, num: int, labels: Tensor | None, generator: torch.Generator, device: torch.device
    ) -> tuple[Tensor, Tensor | None]:
        """Latents and labels of `num` pictures, drawn as without the walk, and then of their companions."""
        more = max(MIN_CHAINS - num, 0)
        z = randn((num, *self.latent_shape), generator, device)
        if self.num_classes:
            labels = randint(self.num_classes, num, generator) if labels is None else labels
            labels = torch.cat([labels.to(device), randint(self.num_classes, more, generator).to(device)])
        return torch.cat([z, randn((more, *self.latent_shape), generator, device)]), labels

    @torch.enable_grad()
    def _score(self, z: Tensor, width: float, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The pictures of latents (B, latent_dim), and the gradient of D's outputs by the latents.

        The generator sees `width` times z: truncation narrows the prior, and the walk keeps to it.
        """
        z = z.detach().requires_grad_()
        x = self.decode(width * z, labels)
        (gradient,) = torch.autograd.grad(self.discriminator(x, labels).sum(), z)
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
