"""The networks of the variational autoencoders: residual convolutions on 14 and on 7 pixels."""

from torch import Tensor, nn


class Block(nn.Module):
    """A residual block, x + f(x), f = two 3x3 convolutions; it starts as the identity."""

    def __init__(self, width: int) -> None:
        """Both convolutions keep `width` channels."""
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1)
        )
        nn.init.zeros_(self.body[3].weight)
        nn.init.zeros_(self.body[3].bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same shape."""
        return x + self.body(x)


def build_encoder(
    latent_dim: int, channels: int, widths: tuple[int, int], blocks: tuple[int, int]
) -> nn.Sequential:
    """(B, C, 28, 28) in [-1, 1] -> (B, 2 latent_dim), mu beside logvar of q(z|x).

    `widths` are the channels and `blocks` the numbers of residual blocks on 14 and on 7 pixels.
    """
    (a, b), (num_a, num_b) = widths, blocks
    return nn.Sequential(
        nn.Conv2d(channels, a, 5, 2, 2), *(Block(a) for _ in range(num_a)), nn.SiLU(),
        nn.Conv2d(a, b, 3, 2, 1), *(Block(b) for _ in range(num_b)), nn.SiLU(),
        nn.Flatten(), nn.Linear(7 * 7 * b, 2 * latent_dim),
    )  # fmt: skip


def build_decoder(
    latent_dim: int, channels: int, widths: tuple[int, int], blocks: tuple[int, int]
) -> nn.Sequential:
    """(B, latent_dim) -> (B, C, 28, 28) logits of the pixels' being white.

    `widths` are the channels and `blocks` the numbers of residual blocks on 7 and on 14 pixels.
    """
    (a, b), (num_a, num_b) = widths, blocks
    return nn.Sequential(
        nn.Linear(latent_dim, 7 * 7 * a), nn.Unflatten(1, (a, 7, 7)),
        *(Block(a) for _ in range(num_a)), nn.SiLU(),
        nn.ConvTranspose2d(a, b, 4, 2, 1), *(Block(b) for _ in range(num_b)), nn.SiLU(),
        nn.ConvTranspose2d(b, channels, 4, 2, 1),
    )  # fmt: skip
