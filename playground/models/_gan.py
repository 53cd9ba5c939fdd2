"""What all GANs share: the game of two players, its losses, and the techniques that tame it.

A GAN trains a generator G against a discriminator D (a critic, where its output is no probability). Which
loss they play for, what keeps D smooth, how often and how fast each moves: these are techniques, papers of
their own, and each is a switch here. A model file says which networks play and which techniques its paper
put together; `AdversarialModel.train_step` reads from top to bottom what one update does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations
from torch.optim import Adam, Optimizer, RMSprop

from playground.models._gan_networks import ConvConfig, Discriminator, Generator, init_dcgan
from playground.models._gan_switches import Techniques
from playground.nn import backward, rand, randint, randn
from playground.spec import (
    Batch,
    Control,
    GenerativeModel,
    HasLatent,
    Recipe,
    Samples,
    SampleStep,
    Words,
)


def discriminator_loss(kind: str, real: Tensor, fake: Tensor, real_label: float = 1.0) -> Tensor:
    """What D descends, from its (B,) outputs on real and on fake pictures.

    non-saturating, saturating: -[r log D(x) + (1 - r) log(1 - D(x))] - log(1 - D(G(z))), with D = sigmoid of
    the output and r the real label (1406.2661; 1606.03498 for r < 1). wasserstein: D(G(z)) - D(x)
    (1701.07875). hinge: max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (1705.02894). least-squares:
    (D(x) - r)^2 / 2 + D(G(z))^2 / 2 (1611.04076, eq. 2).
    """
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "least-squares":
        return 0.5 * (real - real_label).square().mean() + 0.5 * fake.square().mean()
    target = torch.full_like(real, real_label)
    return F.binary_cross_entropy_with_logits(real, target) + F.softplus(fake).mean()


def generator_loss(kind: str, fake: Tensor) -> Tensor:
    """What G descends, from D's (B,) outputs on its pictures.

    non-saturating: -log D(G(z)); saturating: log(1 - D(G(z))), the game's own value, whose gradient vanishes
    where D is sure (1406.2661, section 3); wasserstein, hinge: -D(G(z)); least-squares: (D(G(z)) - 1)^2 / 2.
    """
    if kind == "non-saturating":
        return F.softplus(-fake).mean()
    if kind == "saturating":
        return -F.softplus(fake).mean()
    if kind == "least-squares":
        return 0.5 * (fake - 1).square().mean()
    return -fake.mean()


def slope(score: Tensor, x: Tensor, num_channels: int | None = None) -> Tensor:
    """(B,) norms of the gradient of each score with respect to its own picture x (B, C, H, W).

    Where x is more than a picture, `num_channels` says how many of its channels, the first ones, are one.
    """
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return gradient[:, :num_channels].flatten(1).norm(dim=1)


def turns(t: Techniques, step: int) -> tuple[bool, bool]:
    """Whether the discriminator and whether the generator learns in update `step`."""
    both = t.players == "both" and step % t.d_steps == 0
    return t.players != "generator", t.players == "generator" or both


def descend(loss: Tensor, optimizer: Optimizer) -> float:
    """Descend `loss` once; returns the L2 norm of all gradients together."""
    backward(loss, optimizer)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    optimizer.step()
    return norm.item()


def update_generator(
    t: Techniques, discriminator: nn.Module, seen: tuple[Any, ...], optimizer: Optimizer,
    regulariser: Tensor | float = 0.0,
) -> dict[str, float]:  # fmt: skip
    """One update of G against a D that stands still; returns the metrics.

    `seen` is what D is given, G's pictures first; the `regulariser` is descended beside the loss.
    """
    discriminator.requires_grad_(False)  # its weights need no gradient here, only its input does
    score = discriminator(*seen)
    loss = generator_loss(t.loss, score)
    grad = descend(loss + regulariser, optimizer)
    discriminator.requires_grad_(True)
    alone = t.players == "generator"  # then D's own update does not read this
    return {"loss_g": loss.item(), "grad_g": grad} | (t.reading("fake", score) if alone else {})


class AdversarialModel(GenerativeModel, Samples, HasLatent):
    """A generator and a discriminator; a subclass builds both and says which `techniques` it uses.

    Both are modules that take the labels too, (B,) int64 or None, and may ignore them:
    ``generator(z, labels)`` gives pictures (B, C, H, W), ``discriminator(x, labels)`` outputs (B,).
    """

    generator: nn.Module
    discriminator: nn.Module
    num_classes = 0  # labels that both are told, 0 for none
    picture_channels: int | None = None  # of what D sees, the first ones; None where it is all a picture
    truncation = 1.0  # of z, unless a sampler is told otherwise

    def __init__(self, latent_dim: int, techniques: Techniques) -> None:
        """`latent_dim` is the length of z; the subclass builds its networks and then calls `prepare`."""
        super().__init__()
        self.latent_shape = (latent_dim,)
        self.techniques = techniques

    def prepare(self) -> None:
        """Put spectral norm on D's layers or take it off, as techniques say; pictures stay channels last."""
        wanted = self.techniques.spectral_norm
        for module in list(self.discriminator.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding) and is_parametrized(module) != wanted:
                if wanted:
                    spectral_norm(module)
                else:
                    remove_parametrizations(module, "weight", leave_parametrized=False)
        self.to(memory_format=torch.channels_last)

    def tune(self, values: Mapping[str, Any]) -> None:
        """Turn techniques by name; those that add layers only before the training."""
        before, self.techniques = self.techniques, replace(self.techniques, **values)
        if self.techniques.minibatch != before.minibatch:
            self.discriminator.set_minibatch(self.techniques.minibatch)
        self.prepare()

    def make_optimizers(self, hp: Recipe) -> dict[str, Optimizer]:
        """One for each player, each with its own learning rate (two time scales, 1706.08500)."""
        t = self.techniques
        players = {"generator": (self.generator, t.lr_g), "discriminator": (self.discriminator, t.lr_d)}
        optimizers: dict[str, Optimizer] = {}
        for name, (network, ratio) in players.items():
            if t.rmsprop:
                optimizers[name] = RMSprop(network.parameters(), lr=hp.lr * ratio)
            else:
                optimizers[name] = Adam(network.parameters(), lr=hp.lr * ratio, betas=t.betas)
        return optimizers

    def draw(self, num: int, generator: torch.Generator, device: torch.device) -> Tensor:
        """(num, latent_dim) latents to train on."""
        return randn((num, *self.latent_shape), generator, device)

    def train_step(self, batch: Batch, optimizers: dict[str, Optimizer]) -> dict[str, float]:
        """One update of the discriminator and, every `d_steps` of them, one of the generator.

        The losses are those of who was updated.
        """
        turn_d, turn_g = turns(self.techniques, batch.step)
        z = self.draw(len(batch.x), batch.generator, batch.x.device)
        with torch.set_grad_enabled(turn_g):
            fake = self.generator(z, batch.labels)
        metrics: dict[str, float] = {}
        if turn_d:
            metrics |= self._update_discriminator(batch, fake.detach(), optimizers["discriminator"])
        if turn_g:  # on the same fakes, judged by the discriminator that has just learnt from them
            seen = self._noise(batch)(fake), batch.labels
            metrics |= update_generator(
                self.techniques, self.discriminator, seen, optimizers["generator"], self.regulariser()
            )
        return metrics

    def _update_discriminator(self, batch: Batch, fake: Tensor, optimizer: Optimizer) -> dict[str, float]:
        t, noise = self.techniques, self._noise(batch)
        real = noise(self.real(batch))
        fake = noise(fake)
        real.requires_grad_(t.penalty == "R1")
        score_real = self.discriminator(real, batch.labels)
        score_fake = self.discriminator(fake, batch.labels)
        loss = self.discriminator_loss(batch, score_real, score_fake)
        penalty = self._penalty(batch, real, fake, score_real)
        grad = descend(loss + penalty, optimizer)
        if t.penalty == "weight clipping":
            with torch.no_grad():
                torch._foreach_clamp_min_(list(self.discriminator.parameters()), -t.clip)
                torch._foreach_clamp_max_(list(self.discriminator.parameters()), t.clip)
        metrics = {"loss_d": loss.item(), "grad_d": grad}
        metrics |= t.reading("real", score_real) | t.reading("fake", score_fake)
        if t.loss == "wasserstein":
            metrics["wasserstein"] = metrics["score_real"] - metrics["score_fake"]
        return metrics | ({"penalty": penalty.item()} if isinstance(penalty, Tensor) else {})

    def real(self, batch: Batch) -> Tensor:
        """The real pictures as this discriminator wants them."""
        return batch.x

    def discriminator_loss(self, batch: Batch, score_real: Tensor, score_fake: Tensor) -> Tensor:
        """What the discriminator descends, but for the penalty."""
        return discriminator_loss(self.techniques.loss, score_real, score_fake, self.techniques.real_label)

    def regulariser(self) -> Tensor | float:
        """What the generator descends beside its loss; nothing by default."""
        return 0.0

    def _noise(self, batch: Batch) -> Any:
        """Instance noise (1610.04490): on everything D sees, its deviation falling to 0 over the training."""
        deviation = self.techniques.instance_noise * (1 - batch.progress)
        if not deviation:
            return lambda x: x
        return lambda x: x + deviation * randn(x.shape, batch.generator, x.device)

    def _penalty(self, batch: Batch, real: Tensor, fake: Tensor, score_real: Tensor) -> Tensor | float:
        """R1: gamma / 2 |grad D(x)|^2 (1801.04406, eq. 9); gradient penalty: 1704.00028, eq. 3."""
        t = self.techniques
        if t.penalty == "R1":
            norm = slope(score_real, real, self.picture_channels)
            return 0.5 * t.penalty_weight * norm.square().mean()
        if t.penalty == "gradient penalty":
            share = rand((len(real), 1, 1, 1), batch.generator, real.device)
            between = torch.lerp(real, fake, share).requires_grad_(True)
            norm = slope(self.discriminator(between, batch.labels), between, self.picture_channels)
            return t.penalty_weight * (norm - 1).square().mean()
        return 0.0

    @torch.no_grad()
    def recalibrate(self, batches: Iterator[Batch]) -> None:
        """The generator's batch-norm statistics anew: their mean over its own pictures.

        The running statistics of the weights that were averaged do not fit the average: its pictures are dim.
        """
        norms = [m for m in self.generator.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
        if not norms:
            return
        momenta, training = [norm.momentum for norm in norms], self.generator.training
        self.generator.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
            norm.train()  # the norms alone: a spectral norm in training would move
        for batch in batches:
            self.generator(self.draw(len(batch.x), batch.generator, batch.x.device), batch.labels)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        self.generator.train(training)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, latent_dim) standard normal, (B,) labels -> (B, C, 28, 28) pictures in [-1, 1]."""
        return self.generator(z, labels)

    @torch.no_grad()
    def sample(
        self, num: int, *, labels: Tensor | None = None, generator: torch.Generator, **controls: Any
    ) -> Iterator[SampleStep]:
        """Draw z and, where it takes labels and got none, those; shrink z by ``truncation``, decode it."""
        device = next(self.parameters()).device
        z = controls.get("truncation", self.truncation) * randn((num, *self.latent_shape), generator, device)
        if labels is None and self.num_classes:
            labels = randint(self.num_classes, num, generator)
        labels = None if labels is None else labels.to(device)
        yield SampleStep(1, 1, self.decode(z, labels), 1)


class ConvGAN(AdversarialModel):
    """DCGAN's two networks; a subclass says for what game."""

    def __init__(self, config: ConvConfig) -> None:
        """Build both networks; weights as in 1511.06434, section 4."""
        super().__init__(config.latent_dim, config.techniques)
        self.config, self.num_classes = config, config.num_classes
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
        init_dcgan(self)
        self.prepare()


TRUNCATION = Control(
    key="truncation",
    label=Words("Truncation", "截断"),
    default=1.0,
    minimum=0.0,
    maximum=1.5,
    step=0.05,
    info=Words(
        en="Multiplies z (BigGAN redraws extreme numbers): below 1 digits are more typical and less varied.",
        zh="乘在 z 上（BigGAN 则重新抽取极端值）：小于 1 时数字更典型、变化更少。",
    ),
)
