"""The networks of picture translation: CycleGAN's generator, the PatchGAN discriminator, and their start.

Both are the papers' own (1703.10593, appendix 7.2; 1611.07004, appendix 6.1); a configuration makes them
narrower. `official_names` lets the published checkpoints in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_OFFICIAL = re.compile(r"(?:module\.)?model\.(\d+)\.(?:conv_block\.(\d+)\.)?(weight|bias)")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of instance norm, in old files


@dataclass(frozen=True)
class ResnetConfig:
    """Shape of a generator.

    Attributes:
        in_channels: of the pictures it reads.
        out_channels: of the pictures it draws.
        width: channels at full resolution; twice and four times as many at half and a quarter. The paper: 64.
        num_blocks: residual blocks at a quarter of the resolution. The paper: 6 at 128x128, 9 at 256x256.
    """

    in_channels: int = 3
    out_channels: int = 3
    width: int = 64
    num_blocks: int = 9


def instance_norm(x: Tensor) -> Tensor:
    """Every channel of every picture with mean 0 and variance 1 (1607.08022), with nothing to learn."""
    return F.instance_norm(x)


class ResnetBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), the borders reflected before each convolution."""

    def __init__(self, width: int) -> None:
        """`width` channels in and out."""
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3)
        self.conv2 = nn.Conv2d(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        h = F.relu(instance_norm(self.conv1(_reflect(x, 1))))
        return x + instance_norm(self.conv2(_reflect(h, 1)))


class ResnetGenerator(nn.Module):
    """c7s1-64, d128, d256, R256 x 9, u128, u64, c7s1-3 in the paper's letters, at any width and depth."""

    def __init__(self, config: ResnetConfig) -> None:
        """A generator of that shape; its weights are drawn from N(0, 0.02)."""
        super().__init__()
        self.config = config
        width = config.width
        self.conv_in = nn.Conv2d(config.in_channels, width, 7)
        self.down1 = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.down2 = nn.Conv2d(2 * width, 4 * width, 3, 2, 1)
        self.blocks = nn.ModuleList(ResnetBlock(4 * width) for _ in range(config.num_blocks))
        self.up1 = nn.ConvTranspose2d(4 * width, 2 * width, 3, 2, 1, output_padding=1)
        self.up2 = nn.ConvTranspose2d(2 * width, width, 3, 2, 1, output_padding=1)
        self.conv_out = nn.Conv2d(width, config.out_channels, 7)
        init_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W) in [-1, 1]; H and W multiples of 4."""
        h = F.relu(instance_norm(self.conv_in(_reflect(x, 3))))
        h = F.relu(instance_norm(self.down1(h)))
        h = F.relu(instance_norm(self.down2(h)))
        for block in self.blocks:
            h = block(h)
        h = F.relu(instance_norm(self.up1(h)))
        h = F.relu(instance_norm(self.up2(h)))
        return self.conv_out(_reflect(h, 3)).tanh()


class PatchDiscriminator(nn.Module):
    """Judges patches: a grid of numbers, each about the part of the picture that it sees (1611.07004, 3.2.2).

    With three layers (C64-C128-C256-C512, all 4x4, the last two of stride 1) an output sees 70x70 pixels.
    A picture of 64x64 has 6x6 of them, whose fields are centred 8 pixels apart; each of them sees most of the
    picture, and grey beyond its border, so that here they differ in what they look at from the middle of.
    """

    def __init__(self, in_channels: int, width: int = 64, num_layers: int = 3) -> None:
        """`width` channels after the first layer, doubled up to eight times that in `num_layers` more."""
        super().__init__()
        self.num_layers = num_layers
        widths = [in_channels, *(width * min(2**i, 8) for i in range(num_layers + 1)), 1]
        strides = [2] * num_layers + [1, 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(narrow, wide, 4, stride, 1)
            for narrow, wide, stride in zip(widths, widths[1:], strides, strict=False)
        )
        init_normal(self)

    @property
    def receptive_field(self) -> int:
        """Pixels along an edge that one output sees: 70 with three layers, 34 with two, 16 with one."""
        field = 1
        for conv in reversed(self.convs):
            field = (field - 1) * int(cast(nn.Conv2d, conv).stride[0]) + 4
        return field

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, 1, h, w), the higher the more real."""
        last = len(self.convs) - 1
        for index, conv in enumerate(self.convs):
            x = conv(x)
            if 0 < index < last:
                x = instance_norm(x)
            if index < last:
                x = F.leaky_relu(x, 0.2)
        return x


def init_normal(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases 0, as in both papers."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def official_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a published generator (`resnet_9blocks` and its like) to those of ours.

    There the network is one `nn.Sequential` called ``model`` and a tensor is called after its place in it:
    padding, convolution, norm and ReLU count one each, a residual block counts one.

    Raises:
        ValueError: if a name is none of such a generator.
    """
    found = [(key, _OFFICIAL.fullmatch(key)) for key in state if not key.endswith(_STATISTICS)]
    strange = [key for key, match in found if match is None]
    matches = [(key, match) for key, match in found if match is not None]
    blocks = sorted({int(match[1]) for _, match in matches if match[2]})
    if strange or not blocks:
        raise ValueError(f"This is no generator of the CycleGAN project: {(strange or ['no block'])[0]!r}.")
    first, after = blocks[0], blocks[-1] + 1
    places = {first - 9: "conv_in", first - 6: "down1", first - 3: "down2"}
    places |= {after: "up1", after + 3: "up2", after + 7: "conv_out"}
    renamed = {}
    for key, match in matches:
        place = int(match[1])
        if match[2]:  # in a block the first convolution is at 1, the second at 5, or 6 after a dropout
            name = f"blocks.{place - first}.conv{1 if match[2] == '1' else 2}"
        elif place in places:
            name = places[place]
        else:
            raise ValueError(f"This is no generator of the CycleGAN project: {key!r}.")
        renamed[f"{name}.{match[3]}"] = state[key]
    return renamed


def load_official(path: str) -> ResnetGenerator:
    """A published generator (``latest_net_G_A.pth``) from a local file, in eval mode.

    Only tensors are read from it (``weights_only``). Its width and number of blocks are read off the shapes.

    Raises:
        ValueError: if the file holds anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever the damaged bytes lead it to
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ValueError(f"{path} cannot be read as weights ({why}).") from error
    named = isinstance(state, Mapping) and all(isinstance(key, str) for key in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no weights by name; a file such as latest_net_G_A.pth does.")
    try:
        ours = official_names(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    blocks = {int(key.split(".")[1]) for key in ours if key.startswith("blocks.")}
    if not {"conv_in.weight", "conv_out.weight"} <= ours.keys() or max(blocks) >= len(blocks):
        raise ValueError(f"{path} holds only a part of a generator of the CycleGAN project.")
    first, last = (ours[f"{key}.weight"].shape for key in ("conv_in", "conv_out"))
    if not all(value.is_floating_point() and value.isfinite().all() for value in ours.values()):
        raise ValueError(f"{path} holds weights that are no finite numbers.")
    if len(first) != 4 or len(last) != 4 or not {first[1], last[0]} <= {1, 3}:
        raise ValueError(f"{path} does not fit CycleGAN's generator: its pictures are neither grey nor RGB.")
    generator = ResnetGenerator(ResnetConfig(first[1], last[0], first[0], len(blocks)))
    try:
        generator.load_state_dict(ours)
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not fit CycleGAN's generator: {' '.join(str(error).split())}"
        ) from error
    return generator.eval().requires_grad_(False)


def _reflect(x: Tensor, width: int) -> Tensor:
    """`width` pixels more on every side, mirrored."""
    return F.pad(x, (width,) * 4, mode="reflect")
