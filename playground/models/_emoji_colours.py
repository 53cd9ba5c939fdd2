"""Emoji in other colours: hues are turned, brightness stays, so one picture teaches many colour words.

In YIQ coordinates brightness is Y and colour the plane (I, Q); turning that plane turns every hue and leaves
white, grey and black as they are.
"""

import math
import random

import torch
from torch import Tensor

COLOURS = {
    "red": (0.87, 0.18, 0.27),
    "orange": (0.96, 0.56, 0.05),
    "yellow": (1.0, 0.80, 0.30),
    "green": (0.47, 0.70, 0.35),
    "blue": (0.33, 0.67, 0.93),
    "purple": (0.67, 0.56, 0.84),
    "pink": (0.96, 0.56, 0.70),
}
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_FAINT = 0.02  # mean chroma below which a picture has no colour of its own to turn


def turn_hues(x: Tensor, angles: Tensor) -> Tensor:
    """Turn all hues of each picture: (B, 3, H, W) in [-1, 1], (B,) radians -> the same shape, clipped."""
    yiq = torch.tensor(_YIQ, device=x.device)
    cos, sin = angles.cos(), angles.sin()
    turn = torch.zeros(len(x), 3, 3, device=x.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1], turn[:, 1, 2], turn[:, 2, 1], turn[:, 2, 2] = cos, -sin, sin, cos
    return _mix(yiq.inverse() @ turn @ yiq, x).clamp(-1, 1)


def without_colour(x: Tensor) -> Tensor:
    """Grey pictures of the same brightness: (B, 3, H, W) -> the same shape."""
    grey = torch.tensor(_YIQ[:1] * 3, device=x.device)
    return _mix(grey.expand(len(x), 3, 3), x)


def angle_to(x: Tensor, colour: str) -> tuple[Tensor, Tensor]:
    """How far the hues of each picture have to be turned until its main one is a colour's.

    Args:
        x: (B, 3, H, W) in [-1, 1].
        colour: one of `COLOURS`.

    Returns:
        (B,) radians, and (B,) bool: whether the picture has a main colour at all.
    """
    yiq = torch.tensor(_YIQ, device=x.device)
    chroma = (x / 2).mean(dim=(2, 3)) @ yiq[1:].T  # (B, 2); the mean's direction is the main hue
    wanted = yiq[1:] @ torch.tensor(COLOURS[colour], device=x.device)
    found = torch.atan2(chroma[:, 1], chroma[:, 0])
    aim = math.atan2(float(wanted[1]), float(wanted[0]))
    return aim - found, chroma.norm(dim=1) > _FAINT


def recoloured(x: Tensor, rng: random.Random) -> tuple[Tensor, str]:
    """A picture (3, H, W) in another colour, and its name; unchanged, and no name, if it has no colour."""
    colour = rng.choice([*COLOURS, "grey"])
    if colour == "grey":
        return without_colour(x[None])[0], rng.choice(["grey", "gray", "black and white"])
    angle, coloured = angle_to(x[None], colour)
    return (turn_hues(x[None], angle)[0], colour) if bool(coloured) else (x, "")


def _mix(matrix: Tensor, x: Tensor) -> Tensor:
    """Mix the three channels of each picture: (B, 3, 3), (B, 3, H, W) -> (B, 3, H, W)."""
    return (matrix @ x.flatten(2)).view_as(x)
