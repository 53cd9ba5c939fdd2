"""The discriminator of the denoising diffusion GAN (Xiao et al. 2021, arXiv:2112.07804, appendix C.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Discriminator(nn.Module):
    """(x_{t-1}, x_t, t, label) -> logit of x_{t-1} being the data's."""

    def __init__(
        self, widths: tuple[int, int, int], num_features: int, channels: int, num_steps: int, num_classes: int
    ) -> None:
        """Three convolutions of stride 2; what t and label are is added to what each of them gives.

        Args:
            widths: channels on 14, 7 and 4 pixels.
            num_features: what is made of them before it decides.
            channels: of a picture.
            num_steps: T.
            num_classes: labels; num_classes itself means none.
        """
        super().__init__()
        a, b, c = widths
        self.widths = (a, b, c, num_features)
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(2 * channels, a, 4, 2, 1),
                nn.Conv2d(a, b, 4, 2, 1, bias=False),
                nn.Conv2d(b, c, 3, 2, 1, bias=False),
            ]
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, track_running_stats=False) for width in (b, c))
        self.features = nn.Linear(16 * c, num_features)
        self.out = nn.Linear(num_features, 1)
        self.set_num_steps(num_steps)
        self.label = nn.Embedding(num_classes + 1, sum(self.widths))
        nn.init.zeros_(self.label.weight)

    def set_num_steps(self, num: int) -> None:
        """Know t from 0 to `num`, nothing of any of them yet."""
        self.time = nn.Embedding(num + 1, sum(self.widths))
        nn.init.zeros_(self.time.weight)

    def forward(self, previous: Tensor, xt: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """Pictures (B, C, H, W) twice, (B,) in 1 to T, (B,) with num_classes for no label -> (B,)."""
        *told, projection = (self.time(t) + self.label(labels)).split(self.widths, dim=1)
        h = torch.cat([previous, xt], dim=1).contiguous(memory_format=torch.channels_last)
        for conv, norm, bias in zip(self.convs, (nn.Identity(), *self.norms), told, strict=True):
            h = F.leaky_relu(norm(conv(h)) + bias[:, :, None, None], 0.2)
        h = F.leaky_relu(self.features(h.flatten(1)), 0.2)
        return self.out(h).flatten() + (projection * h).sum(dim=1)
