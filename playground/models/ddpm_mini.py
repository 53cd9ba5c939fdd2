r"""What many short tutorials call a U-Net: an encoder-decoder without skips that is not told the time.

Everything but the network is DDPM's: the same noise, the same schedule, the same samplers. The network only
sees x_t and predicts the noise in it, as in Ho et al. 2020 (arXiv:2006.11239, algorithm 1):

    loss = |eps - eps_hat(x_t)|^2,      v_hat = (eps_hat - sqrt(1 - a_t) x_t) / sqrt(a_t)

It has to guess from x_t how much noise there is, and every pixel of the noise has to pass the 7x7 bottleneck,
for there is no skip (1505.04597) to carry it past. Beside `ddpm` it shows what skips and t buy.

Differences from DDPM: no skips, no t, no labels, no residual blocks; widths 64-128-256, as tutorials have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from playground.models.ddpm import CONTROLS, DDPM, DDPMConfig
from playground.spec import About, DenoiseStep, ModelSpec, Recipe, Words


@dataclass(frozen=True)
class DDPMMiniConfig(DDPMConfig):
    """Shape of the model; of `unet` it uses the channels of input and output alone.

    Attributes:
        widths: channels at full, half, quarter, ... resolution; multiples of 8.
    """

    widths: tuple[int, ...] = (64, 128, 256)


class EncoderDecoder(nn.Module):
    """Down to a quarter of the resolution and back, in one chain; predicts the noise."""

    def __init__(self, config: DDPMMiniConfig) -> None:
        """A network of that shape."""
        super().__init__()
        widths, unet = config.widths, config.unet
        pairs = list(zip(widths, widths[1:], strict=False))
        downs = [nn.Conv2d(fine, coarse, 3, 2, 1) for fine, coarse in pairs]
        ups = [nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in reversed(pairs)]
        first = nn.Conv2d(unet.in_channels, widths[0], 3, padding=1)
        middle = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        layers: list[nn.Module] = []
        for conv in (first, *downs, middle, *ups):
            layers += [conv, nn.GroupNorm(8, conv.out_channels), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[0], unet.out_channels, 3, padding=1))
        self.to(memory_format=torch.channels_last)

    def forward(self, xt: Tensor) -> Tensor:
        """(B, C, H, W) x_t -> eps_hat, the same shape."""
        return self.layers(xt.contiguous(memory_format=torch.channels_last))


class DDPMMini(DDPM):
    """DDPM around a network that has no skips and knows neither t nor the label."""

    config: DDPMMiniConfig
    decode_nfe = 50

    def build_denoiser(self) -> nn.Module:
        """The encoder-decoder, in the U-Net's place."""
        return EncoderDecoder(self.config)

    def loss(self, x0: Tensor, labels: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Mean squared error of eps_hat (2006.11239, eq. 14); labels are not looked at."""
        return (self.denoiser(self.add_noise(x0, eps, t)) - eps).square().mean()

    def velocity(self, xt: Tensor, t: int, labels: Tensor | None, guidance: float) -> Tensor:
        """The v_hat that says the same as eps_hat; t only converts, labels and guidance do nothing."""
        signal, noise = self._signal_noise(torch.tensor([t], device=xt.device))
        return (self.denoiser(xt) - noise * xt) / signal

    def _reverse(
        self,
        xt: Tensor,
        labels: Tensor | None,
        generator: torch.Generator | None,
        *args: Any,
        **controls: Any,
    ) -> Iterator[tuple[DenoiseStep | None, Tensor, int]]:
        """Without labels, so that no evaluation is counted twice for guidance."""
        return super()._reverse(xt, None, generator, *args, **controls)


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="ddpm_mini",
        title="DDPM without skips and time",
        family="diffusion",
        year=2020,
        paper="2006.11239",
        model=DDPMMini,
        config=DDPMMiniConfig(),
        recipe=Recipe(num_steps=2000, batch_size=64, lr=1e-3, warmup=100, ema=0.995, max_norm=1.0),
        about=About(
            summary=Words(
                "This is the small encoder-decoder that many tutorials train to denoise and call a U-Net. "
                "It has no skip connections and is not told how noisy its picture is. "
                "Beside the real DDPM, which also trained far longer, it shows what those ideas are worth.",
                "这是许多教程用来训练去噪、并称之为 U-Net 的小型编码器-解码器。它没有跳跃连接，也不知道图片里"
                "有多少噪声。把它与真正的 DDPM（训练也久得多）放在一起，就能看出这两个设计的价值。",
            ),
            formula=r"\mathcal{L} = \mathbb{E}_{x_0, \epsilon, t} \lVert \epsilon - "
            r"\epsilon_\theta(x_t) \rVert^2, \quad "
            r"x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\epsilon",
            strengths=Words(
                "Twenty lines of network that a class can read at a glance, and its loss falls like the "
                "real one's.",
                "网络只有二十行，一眼就能读懂；损失也像真正的 DDPM 那样下降。",
            ),
            weaknesses=Words(
                "Fine detail and noise must squeeze through the narrowest layer, and the noise level must be "
                "guessed, so its pictures are rough; it cannot be asked for a digit.",
                "细节和噪声都必须挤过最窄的一层，噪声强度也只能靠猜，所以图片粗糙；它也不能按要求生成某个数字。",
            ),
        ),
        controls=tuple(control for control in CONTROLS if control.key != "guidance"),
        preview={"scheduler": "DDIM", "num_steps": 20},
    ),
)
