"""Pictures from outside: the one gate through which an upload or a drawing becomes what a model sees.

A file is judged by its header before a pixel is decoded, and by its content rather than by its name:

    bytes or data URI -> `content` -> `rgb` (H, W, 3) uint8 -> `digit`, `square` or `letterbox`
    -> (1, C, H, W) in [-1, 1]

Every refusal is one sentence (`InvalidInput`).
"""

import base64
import binascii
import io
import math
import struct
import threading
import warnings
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from playground.validation import InvalidInput, shown

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 4_000_000
MIN_SIDE = 8
MAX_SIDE = 1024  # a larger picture is shrunk as soon as it is decoded: no model sees more than 256 pixels
_BOX, _SIDE = 20, 28  # MNIST's digits fill a box of 20 pixels inside 28
_DECODING = threading.BoundedSemaphore(2)  # decoded pixels take a hundred times the bytes of a file
_MAX_SCANS = 200  # of a JPEG: each goes over the whole picture, and a small file can hold a million of them
_EVEN = 12  # grey levels: a picture with less contrast shows nothing
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)
# What other files begin with, so that the sentence can name them.
_OTHERS = {
    b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%!PS": "EPS", b"%PDF": "PDF",
    b"\0\0\1\0": "ICO",
}  # fmt: skip


def content(value: Any) -> bytes:
    """The bytes of a picture that came as bytes or as a data URI (``data:...;base64,...``)."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str) or not value.startswith("data:") or ";base64," not in value[:200]:
        raise InvalidInput("errors.picture_none", value=shown(value))
    text = value.partition(";base64,")[2]
    if len(text) > 4 * (MAX_BYTES // 3 + 2):
        raise InvalidInput("errors.picture_bytes", maximum=MAX_BYTES // 2**20)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput("errors.picture_damaged") from error


def rgb(value: Any) -> np.ndarray:
    """A checked picture: upright, its first frame, alpha laid on white, at most `MAX_SIDE` a side.

    Args:
        value: the bytes of a PNG, JPEG or WebP file, or a data URI of them.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InvalidInput: for anything else, for more than `MAX_BYTES` or `MAX_PIXELS` (read from the header),
            for sides below `MIN_SIDE`, and for a damaged file.
    """
    data = content(value)
    if len(data) > MAX_BYTES:
        raise InvalidInput("errors.picture_bytes", maximum=MAX_BYTES // 2**20)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise InvalidInput("errors.picture_enormous", maximum=MAX_PIXELS // 10**6) from error
    except UnidentifiedImageError as error:
        raise _unknown(data) from error
    except _DAMAGE as error:
        raise InvalidInput("errors.picture_damaged") from error
    _measure(*image.size)
    if image.format == "JPEG" and data.count(b"\xff\xda") > _MAX_SCANS:
        raise InvalidInput("errors.picture_damaged")
    try:
        with _DECODING, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about odd metadata
            image.seek(0)
            image.load()
            return _on_white(ImageOps.exif_transpose(image))
    except _DAMAGE as error:
        raise InvalidInput("errors.picture_damaged") from error


def _unknown(data: bytes) -> InvalidInput:
    """What to say of bytes that are none of our formats."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        return InvalidInput("errors.picture_svg")
    if any(data.startswith(magic) for magic in (b"\x89PNG", b"\xff\xd8\xff")) or data[8:12] == b"WEBP":
        return InvalidInput("errors.picture_damaged")
    kind = next((name for magic, name in _OTHERS.items() if data.startswith(magic)), None)
    if kind is None:
        return InvalidInput("errors.picture_format")
    return InvalidInput("errors.picture_other", kind=kind)


def _measure(width: int, height: int) -> None:
    """Refuse a size before anything is decoded."""
    if width * height > MAX_PIXELS:
        maximum = MAX_PIXELS // 10**6
        raise InvalidInput("errors.picture_pixels", maximum=maximum, width=width, height=height)
    if min(width, height) < MIN_SIDE:
        raise InvalidInput("errors.picture_tiny", minimum=MIN_SIDE, width=width, height=height)


def _on_white(image: Image.Image) -> np.ndarray:
    """Any mode -> (H, W, 3) uint8: sixteen bits are scaled, not cut off, and pale ink on nothing is dark."""
    clear = image.info.get("transparency")  # of a PNG: the grey or the colour that stands for nothing
    if image.mode.startswith(("I", "F")):
        deep = np.asarray(image, np.float32)
        image = Image.fromarray((deep.clip(0, 65535) / 257).round().astype(np.uint8))
        if isinstance(clear, int):
            image.putalpha(Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8)))
    elif isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, where Pillow keeps 8
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    image = image.convert("RGBA")
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    pixels = np.asarray(image, np.float32)
    alpha = pixels[:, :, 3:] / 255
    found = (pixels[:, :, :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    if np.ptp(alpha) > _EVEN / 255 and np.ptp(found) <= _EVEN:  # a drawing whose ink is in the alpha alone
        found = np.repeat((255 * (1 - alpha)).round().astype(np.uint8), 3, axis=2)
    return found


def grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W) brightness, 0 to 255 (Rec. 601)."""
    return pixels.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def digit(pixels: np.ndarray) -> Tensor:
    """A picture of a digit as MNIST has them: white on black, in a 20-pixel box, its mass in the middle.

    The border decides what is paper: where it is bright the picture is inverted. The paper is then made
    black, the ink is cropped, scaled to fit 20x20 and placed in 28x28 with its centre of mass at the centre.

    Args:
        pixels: (H, W, 3) uint8, as `rgb` returns them.

    Returns:
        (1, 1, 28, 28) in [-1, 1].

    Raises:
        InvalidInput: if the picture is of one even colour.
    """
    light = grey(pixels)
    border = np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]])
    paper = float(np.median(border))
    if paper > 127.5:
        light, paper = 255 - light, 255 - paper
    ink = (light - paper).clip(0, None)
    if ink.max() < _EVEN:
        raise InvalidInput("errors.picture_even")
    ink = ink / np.percentile(ink[ink > ink.max() / 4], 90) * 255
    ink = ink.clip(0, 255)
    rows, columns = (np.flatnonzero((ink > 64).any(axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _BOX / max(ink.shape)
    size = (max(1, round(ink.shape[1] * scale)), max(1, round(ink.shape[0] * scale)))
    small = np.asarray(_resize(ink.round().astype(np.uint8), size), np.float64)
    return _tensor(_centred(small)[:, :, None])


def _centred(small: np.ndarray) -> np.ndarray:
    """(h, w) ink, at most 20 a side -> (28, 28) with its centre of mass in the middle, by whole pixels."""
    total, starts = max(small.sum(), 1.0), []
    for axis, length in enumerate(small.shape):
        middle = (small.sum(1 - axis) * np.arange(length)).sum() / total
        start = round((_SIDE - 1) / 2 - middle)
        starts.append(min(max(start, 0), _SIDE - length))
    sheet = np.zeros((_SIDE, _SIDE))
    sheet[starts[0] : starts[0] + small.shape[0], starts[1] : starts[1] + small.shape[1]] = small
    return sheet


def square(pixels: np.ndarray, side: int, channels: int = 3) -> Tensor:
    """The middle square of any picture, for models that do not draw digits.

    Args:
        pixels: (H, W, 3) uint8, as `rgb` returns them.
        side: of the result, in pixels.
        channels: 3 for colours, 1 for grey.

    Returns:
        (1, channels, side, side) in [-1, 1].
    """
    height, width = pixels.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    part = pixels[top : top + edge, left : left + edge]
    part = part if channels == 3 else grey(part).round().astype(np.uint8)
    found = np.asarray(_resize(part, (side, side)), np.float64)
    return _tensor(found if found.ndim == 3 else found[:, :, None])


def letterbox(pixels: np.ndarray, side: int, channels: int = 3, paper: float = 1.0) -> Tensor:
    """All of a picture, as large as it fits, in the middle of a square; the rest is paper.

    Args:
        pixels: (H, W, 3) uint8, as `rgb` returns them.
        side: of the result, in pixels.
        channels: 3 for colours, 1 for grey.
        paper: what fills the rest, in [-1, 1].

    Returns:
        (1, channels, side, side) in [-1, 1].
    """
    scale = side / max(pixels.shape[:2])
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    part = pixels if channels == 3 else grey(pixels).round().astype(np.uint8)
    small = np.asarray(_resize(part, (width, height)), np.float64)
    sheet = np.full((side, side, *small.shape[2:]), 127.5 * (paper + 1))
    top, left = (side - height) // 2, (side - width) // 2
    sheet[top : top + height, left : left + width] = small
    return _tensor(sheet if sheet.ndim == 3 else sheet[:, :, None])


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Averages areas when it shrinks, so that thin strokes do not vanish."""
    image = Image.fromarray(pixels)
    factor = math.floor(min(image.width / size[0], image.height / size[1]))
    return (image.reduce(factor) if factor > 2 else image).resize(size, Image.Resampling.LANCZOS)


def _tensor(levels: np.ndarray) -> Tensor:
    """(H, W, C), 0 to 255 -> (1, C, H, W) in [-1, 1]."""
    x = torch.from_numpy(levels).permute(2, 0, 1)[None]
    return (x / 127.5 - 1).clamp(-1, 1).float()
