"""A model small enough to train in milliseconds, for tests of what surrounds models."""

import math
from dataclasses import dataclass

from torch import nn

from playground.nn import adam, randn, update
from playground.spec import About, GenerativeModel, ModelSpec, Recipe, Samples, SampleStep, Words


@dataclass(frozen=True)
class TinyConfig:
    width: int = 8
    side: int = 4
    diverge_at: int = 0  # the loss of this update, counted from 1, is NaN
    scale: float = 1.0  # of the loss; gradients of more than 1 are clipped


class Tiny(GenerativeModel, Samples):
    """A denoising autoencoder of two layers with batch norm: there are noise, buffers and moments."""

    def __init__(self, config):
        super().__init__()
        self.config, self.calls = config, 0
        pixels, width = config.side**2, config.width
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(pixels, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, pixels)
        )  # fmt: skip

    def make_optimizers(self, hp):
        return {"net": adam(self.parameters(), hp)}

    def loss(self, x, generator):
        noisy = x + 0.1 * randn(x.shape, generator, x.device)
        return self.config.scale * (self.net(noisy).view_as(x) - x).square().mean()

    def train_step(self, batch, optimizers):
        self.calls += 1
        loss = self.loss(batch.x, batch.generator)
        if self.calls == self.config.diverge_at:
            loss = loss * math.nan
        update(loss, optimizers["net"], 1.0)
        return {"loss": loss.item()}

    def sample(self, num, *, labels=None, generator, **controls):
        side = self.config.side
        yield SampleStep(1, 1, self.net(randn((num, side**2), generator)).view(num, 1, side, side), 1)


RECIPE = Recipe(num_steps=12, batch_size=8, lr=1e-2, weight_decay=0.01, warmup=3, final_lr=0.1, ema=0.9)
WORDS = Words("One. Two. Three.", "一。二。三。")
SPEC = ModelSpec(
    "tiny", "Tiny", "vae", 2024, "0000.00000", Tiny, TinyConfig(), RECIPE, About(WORDS, "x", WORDS, WORDS)
)  # fmt: skip
