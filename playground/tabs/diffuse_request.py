"""What the Diffuse tab's sections are asked for, checked: pictures, timesteps, schedules."""

from typing import Any

import torch
from torch import Tensor

from playground import data, noising, uploads, validation
from playground.tabs import digit_pad
from playground.validation import InvalidInput, Term, shown

EMOJI, SIDE = "emoji_noto", 64
_EMOJI = "emoji:"


def picture(value: Any, colour: bool = False) -> Tensor:
    """A picture to diffuse.

    Args:
        value: ``test:INDEX`` (a test digit), ``emoji:INDEX``, or a PNG, JPEG or WebP file as a data URI.
        colour: take a file as it is, the middle square in colours; otherwise a digit is looked for in it.

    Returns:
        (1, 1, 28, 28) for digits, (1, 3, 64, 64) for all else, in [-1, 1].

    Raises:
        InvalidInput: if there is nothing that can be read.
    """
    if isinstance(value, str) and value.startswith(_EMOJI):
        return emoji(value)
    if colour and value not in (None, ""):
        return uploads.square(uploads.rgb(value), SIDE)
    return digit_pad.read(value)


def emoji(value: str) -> Tensor:
    """(1, 3, 64, 64): one of the emoji that no model was trained on, by ``emoji:INDEX``."""
    images, number = data.load(EMOJI, "test").images, value.removeprefix(_EMOJI)
    if not (number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < len(images)):
        raise InvalidInput("diffuse.no_emoji", maximum=len(images) - 1, value=shown(value))
    return data.to_float(images[int(number)][None])


def timestep(value: Any, num_timesteps: int = noising.NUM_TIMESTEPS) -> int:
    """A timestep of a schedule, 0 to num_timesteps - 1."""
    return validation.integer(value, Term("diffuse.timestep"), 0, num_timesteps - 1)


def schedule(value: Any) -> str:
    """The name of a schedule."""
    return validation.choice(value, Term("diffuse.schedule"), noising.SCHEDULES)


def rng(seed: int) -> torch.Generator:
    """All randomness of a request comes from here."""
    return torch.Generator().manual_seed(seed)
