"""Generators that the CycleGAN project's own code saved, from a file of one's own: ``latest_net_G_A.pth``."""

import torch
from torch import Tensor

from playground import device, uploads
from playground.models._translation_networks import load_official

SUFFIX = ".pth"
SIDE = 256  # pixels, to which the project's own test scales a picture


@torch.no_grad()
def translate(path: str, picture: bytes) -> Tensor:
    """What a generator makes of a picture, which is letterboxed on white.

    Args:
        path: of the generator; only tensors are read from it.
        picture: a PNG, JPEG or WebP file.

    Returns:
        (1, C, 256, 256) in [-1, 1], on the CPU.

    Raises:
        ValueError: if the file is no such generator.
        InvalidInput: if the picture is none.
    """
    pixels = uploads.rgb(picture)
    generator = load_official(path).to(device.pick())
    x = uploads.letterbox(pixels, SIDE, generator.config.in_channels).to(device.pick())
    return generator(x).float().cpu()
