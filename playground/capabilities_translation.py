"""What a model that translates pictures can do; part of `playground.capabilities`."""

import torch
from torch import Tensor


class Translates:
    """Maps pictures of one domain, A, to another, B, and perhaps back."""

    directions: tuple[str, ...] = ("ab", "ba")
    channels: tuple[int, int] = (3, 3)  # of A's pictures and of B's
    has_noise: bool = False  # whether a generator changes a translation
    translate_nfe: int = 1  # network evaluations of a translation

    def translate(self, x: Tensor, direction: str, generator: torch.Generator | None = None) -> Tensor:
        """(B, C, H, W) of the one domain -> (B, C', H, W) of the other, in [-1, 1].

        Args:
            x: pictures of A for direction ``ab``, of B for ``ba``.
            direction: one of `directions`.
            generator: draws what is random in the translation, if anything is; None for the typical one.

        Raises:
            ValueError: if it does not go in that direction.
        """
        raise TypeError(f"{type(self).__name__} does not translate.")

    def check_direction(self, direction: str) -> None:
        """Raise ValueError, in one sentence, if it does not go in that direction."""
        if direction not in self.directions:
            known = " or ".join(self.directions)
            raise ValueError(f"This model translates in the direction {known}; got {str(direction)[:20]!r}.")

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C_A + C_B, H, W) rows of a set of pairs -> A's pictures and B's."""
        return x[:, : self.channels[0]], x[:, self.channels[0] :]

    def translated_pairs(self, x: Tensor) -> Tensor:
        """Rows of a set of pairs as pictures in a row of four each: A, B made of it, B, A made of it.

        Where there is one direction only, the last picture is how far the third is from the second.

        Args:
            x: (B, C_A + C_B, H, W).

        Returns:
            (4 B, C, H, W), C the larger number of channels; a grey picture has three equal ones there.
        """
        real_a, real_b = self.split(x)
        fake_b = self.translate(real_a, "ab")
        last = self.translate(real_b, "ba") if "ba" in self.directions else (real_b - fake_b).abs() - 1
        shape = (-1, max(self.channels), *x.shape[2:])
        four = [picture.expand(shape) for picture in (real_a, fake_b, real_b, last)]
        return torch.stack(four, dim=1).flatten(0, 1)


class JudgesPatches:
    """Has a discriminator that judges a translation patch by patch."""

    def judge_patches(self, x: Tensor, y: Tensor, direction: str) -> Tensor:
        """(B, C, H, W) x and its translation, or true counterpart, y -> (B, 1, h, w): 1 real, 0 fake."""
        raise TypeError(f"{type(self).__name__} judges no patches.")

    def receptive_field(self) -> int:
        """Pixels along an edge that one of the judgements is about."""
        raise TypeError(f"{type(self).__name__} judges no patches.")
