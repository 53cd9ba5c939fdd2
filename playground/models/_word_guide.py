"""Classifier-free guidance by words (2207.12598): latents with prompts, and with others or none."""

from collections.abc import Callable

import torch
from torch import Tensor

from playground.models._text_encoder import Text
from playground.models._word_unet import maps

Velocity = Callable[[Tensor, Tensor, Text, list[Tensor]], Tensor]


class Guide:
    """The guided velocity of a few prompts, which are encoded once."""

    def __init__(
        self, velocity: Velocity, encode: Callable[[list[str]], Text], prompts: list[str], negative: str,
        others: list[str] | None, mix: Tensor | None, guidance: float,
    ) -> None:  # fmt: skip
        """Encode everything; guidance 1 needs no second evaluation."""
        self.velocity, self.guidance, self.num = velocity, guidance, len(prompts)
        texts = prompts + (others or []) + ([negative] * len(prompts) if guidance != 1 else [])
        self.nfe = len(texts) // len(prompts)
        self.text, self.between = encode(texts), others is not None
        self.mix = None if mix is None else mix.view(-1, 1, 1, 1).to(self.text.states.device)

    def __call__(self, z: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(B, *latent_shape) and a timestep -> the velocity and the prompts' attention maps."""
        record: list[Tensor] = []
        times = t.expand(self.nfe * self.num)
        parts = self.velocity(z.repeat(self.nfe, 1, 1, 1), times, self.text, record).split(self.num)
        attention = maps([weights[: self.num] for weights in record], z.shape[-1])
        v = parts[0]
        if self.between and self.mix is not None:
            v = torch.lerp(v, parts[1], self.mix)
        if self.guidance != 1:
            v = torch.lerp(parts[-1], v, self.guidance)
        return v, attention
