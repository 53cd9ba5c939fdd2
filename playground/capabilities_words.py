"""What a model that draws what words say can do; part of `playground.capabilities`."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor


class WordStep(NamedTuple):
    """One moment of drawing what words say; the last one of an iterator is the result.

    Attributes:
        step: moments so far, 1 to num_steps.
        num_steps: moments in all.
        xt: (B, C, H, W) in [-1, 1], the noisy latent as the decoder shows it, before this step.
        x0_hat: (B, C, H, W) in [-1, 1], the clean picture that the model guesses from it.
        attention: (B, 1 + words, h, w), how much each place looked at the start token and at each word,
            summing to 1 over them; 0 where a prompt has fewer words.
        nfe: evaluations of the network so far.
    """

    step: int
    num_steps: int
    xt: Tensor
    x0_hat: Tensor
    attention: Tensor
    nfe: int


class FollowsWords:
    """Draws what words say."""

    latent_shape: tuple[int, ...]  # of the noise it starts from, without the batch

    def words(self, prompt: str) -> list[str]:
        """The words of a prompt as the model reads them; what it does not read is left out."""
        raise TypeError(f"{type(self).__name__} reads no words.")

    def illustrate(
        self, prompts: list[str], *, negative: str = "", others: list[str] | None = None,
        mix: Tensor | None = None, noise: Tensor | None = None, generator: torch.Generator, **controls: Any,
    ) -> Iterator[WordStep]:  # fmt: skip
        """Draw a picture for each prompt, away from `negative`.

        With `others`, a second prompt for each picture, and `mix` (B,) in [0, 1], pictures lie between the
        two; `noise` (B, *latent_shape) is where the way begins, drawn from `generator` if it is not given.
        """
        raise TypeError(f"{type(self).__name__} does not follow words.")
