"""Tensors to pictures: grids, sprites, GIFs, and PNGs that remember how they were made.

The only place where [-1, 1] becomes [0, 255] for pictures. The SVG figures are in `playground.svg`.
"""

import base64
import io
import json
import math
import struct
import zlib
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from playground import __version__

KEYWORD = "playground"  # of the PNG text chunk that holds the request
MAX_REQUEST_BYTES = 16_384
_BACKGROUND = 96  # between the pictures: neither paper nor ink
_MAGIC = b"\x89PNG\r\n\x1a\n"


class NoRequest(ValueError):
    """A file holds no request of this playground."""


def to_pixels(x: Tensor) -> np.ndarray:
    """(B, C, H, W) in [-1, 1] -> (B, H, W, C) uint8; what is not a number becomes grey."""
    levels = x.detach().float().nan_to_num(0.0, 1.0, -1.0).clamp(-1, 1).add(1).mul(127.5).round()
    return levels.byte().permute(0, 2, 3, 1).cpu().numpy()


def columns_for(num: int) -> int:
    """Columns of the squarest grid that holds `num` pictures."""
    return max(1, math.ceil(math.sqrt(num)))


def grid(x: Tensor | np.ndarray, columns: int | None = None, gap: int = 1, scale: int = 1) -> Image.Image:
    """Arrange pictures in rows.

    Args:
        x: (B, C, H, W) in [-1, 1], or (B, H, W, C) uint8.
        columns: pictures in a row; by default the grid is as square as it can be.
        gap: pixels between two pictures.
        scale: every pixel becomes scale x scale.
    """
    pixels = x if isinstance(x, np.ndarray) else to_pixels(x)
    num, height, width, channels = pixels.shape
    columns = min(columns or columns_for(num), max(num, 1))
    rows = math.ceil(num / columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, _BACKGROUND, np.uint8)
    for index in range(num):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = pixels[index]
    return enlarge(Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet), scale)


def enlarge(image: Image.Image, scale: int) -> Image.Image:
    """Every pixel becomes scale x scale, with hard edges."""
    size = (image.width * scale, image.height * scale)
    return image if scale == 1 else image.resize(size, Image.Resampling.NEAREST)


def sprite(frames: Sequence[Image.Image]) -> Image.Image:
    """Frames of one size, one below the other: a page shows one at a time by moving the background."""
    first = frames[0]
    sheet = Image.new(first.mode, (first.width, first.height * len(frames)))
    for index, frame in enumerate(frames):
        sheet.paste(frame, (0, index * first.height))
    return sheet


def png(image: Image.Image, info: PngImagePlugin.PngInfo | None = None) -> bytes:
    """A picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Bytes as an address that a page can show without asking the server."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def png_data_uri(image: Image.Image) -> str:
    """A picture as an address that a page can show without asking the server."""
    return data_uri(png(image))


def gif(frames: Sequence[Image.Image], seconds: float = 3.0, scale: int = 1) -> bytes:
    """An endless GIF that plays `frames` within `seconds` and rests on the last one."""
    pictures = [enlarge(frame, scale) for frame in frames]
    each = max(20, int(seconds * 1000 / len(pictures)))
    durations = [each] * (len(pictures) - 1) + [1500]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    return buffer.getvalue()


def png_with_request(image: Image.Image, request: dict[str, Any]) -> bytes:
    """A PNG that holds the request it answers, as JSON in an iTXt chunk `read_request` finds again."""
    info = PngImagePlugin.PngInfo()
    info.add_itxt(KEYWORD, json.dumps(request, ensure_ascii=False, sort_keys=True))
    return png(image, info)


def versions() -> dict[str, str]:
    """Of what takes part in drawing a picture; diffusers does the steps of diffusion."""
    found = {"playground": __version__, "torch": torch.__version__}
    return found | {"diffusers": metadata.version("diffusers")}


def read_request(content: bytes) -> dict[str, Any]:
    """The request inside a PNG made by `png_with_request`; no pixel is decoded.

    Raises:
        NoRequest: if this is no PNG, is damaged, or holds no request.
    """
    found = _text_chunk(content)
    try:
        request = json.loads(found.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise NoRequest("The request in the picture cannot be read.") from error
    if not isinstance(request, dict):
        raise NoRequest("The request in the picture is not a mapping.")
    return request


def _text_chunk(content: bytes) -> bytes:
    """The uncompressed iTXt chunk of our keyword: keyword, NUL, two zero flags, two empty texts, JSON."""
    if not content.startswith(_MAGIC):
        raise NoRequest("The file is no PNG.")
    head = KEYWORD.encode() + b"\0\0\0\0\0"
    position = len(_MAGIC)
    while position + 12 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        kind = content[position + 4 : position + 8]
        body = content[position + 8 : position + 8 + length]
        if kind == b"iTXt" and body.startswith(head) and length <= MAX_REQUEST_BYTES:
            if content[position + 8 + length : position + 12 + length] != struct.pack(
                ">I", zlib.crc32(kind + body)
            ):
                raise NoRequest("The request in the picture is damaged.")
            return body[len(head) :]
        position += 12 + length
    raise NoRequest("The picture holds no request.")
