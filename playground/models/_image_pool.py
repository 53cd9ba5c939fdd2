"""Fakes that a discriminator has not just seen (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3)."""

import torch
from torch import Tensor


class ImagePool:
    """The last fakes, of which a discriminator is shown some instead of the newest ones.

    A picture that comes is kept and given back while the pool is not full. Then half of them are given back
    as they are, and half take the place of an older one, which is given back instead. Not part of a model's
    weights: a training's checkpoint asks for `state`.
    """

    def __init__(self, size: int = 50) -> None:
        """Room for `size` pictures; 0 gives every picture back as it is."""
        self.size = size
        self.kept: list[Tensor] = []  # (C, H, W), on the device they came from

    def __len__(self) -> int:
        """Pictures in it."""
        return len(self.kept)

    def swap(self, fakes: Tensor, generator: torch.Generator) -> Tensor:
        """(B, C, H, W) new fakes -> (B, C, H, W) new and old ones; nothing flows back through them."""
        shown = []
        del self.kept[self.size :]  # it may have been made smaller
        draws = torch.rand(len(fakes), 2, generator=generator, device=generator.device).tolist()
        for fake, (coin, place) in zip(fakes.detach(), draws, strict=True):
            if len(self.kept) < self.size:
                self.kept.append(fake.clone())
            elif self.kept and coin < 0.5:
                index = int(place * len(self.kept))
                fake, self.kept[index] = self.kept[index], fake.clone()
            shown.append(fake)
        return torch.stack(shown)

    def state(self) -> Tensor | None:
        """(N, C, H, W), all of them; None if it is empty."""
        return torch.stack(self.kept) if self.kept else None

    def restore(self, state: Tensor | None) -> None:
        """Take over what `state` returned."""
        self.kept = [] if state is None else [picture.clone() for picture in state]
