"""What a loaded data set is."""

from dataclasses import dataclass

from torch import Tensor

from playground.locale import Told


class DataUnavailable(Told, RuntimeError):
    """A data set cannot be had here; one sentence says what would put it where."""


@dataclass(frozen=True)
class Images:
    """One split of a data set.

    Attributes:
        name: of the data set.
        images: (N, C, H, W) uint8; float32 in [-1, 1] for the two-dimensional toys, as (N, 2, 1, 1).
        labels: (N,) int64.
        classes: the name of each label.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.images)
