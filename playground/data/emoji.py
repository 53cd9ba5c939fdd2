"""1,906 emoji in two hands, Noto and Twemoji, in the same order, with names: 64x64 RGB on white.

The two sheets are unpaired for training and paired for scoring. Every emoji whose index is a multiple of ten
is held out: it forms the ``test`` split.
"""

import hashlib
import json
import unicodedata
from functools import cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from playground.data.images import DataUnavailable, Images

_FOLDER = Path(__file__).parent / "files" / "emoji"
_SHA256 = {
    "noto-64.webp": "04295a48f352dc23b41a7508f616f11257bf43320743d1b1d19d823cb44a7fd4",
    "twemoji-64.webp": "55f3af41a59206e20c1747f1d795ca98da2c19ff8fc8c814e3d9d256e8f34fe9",
    "emoji.json": "0ccbc5d4421a6ae3c4e15e56c69a8d280d3654bce39b5b1fc59f594a6251db91",
}
SIDE = 64  # pixels
_PER_ROW = 48
HELD_OUT_EVERY = 10
STYLES = ("Noto", "Twemoji")  # the two hands, in the order of the sheets


class Entry(TypedDict):
    """What is known of one emoji."""

    unified: str
    name: str
    short_name: str
    category: str
    subcategory: str


@cache
def entries() -> tuple[Entry, ...]:
    """Names and categories, in the order of the sheets."""
    return tuple(json.loads(_checked("emoji.json"))["emoji"])


def indices(split: str) -> list[int]:
    """Which emoji of the sheets a split holds: ``test`` has the multiples of ten, ``train`` the rest."""
    return [i for i in range(len(entries())) if (i % HELD_OUT_EVERY == 0) == (split == "test")]


def load_noto(split: str) -> Images:
    """Google's drawings, uint8 (N, 3, 64, 64), labelled by category."""
    return _load("emoji_noto", "noto-64.webp", split)


def load_twemoji(split: str) -> Images:
    """Twitter's drawings of the same emoji in the same order."""
    return _load("emoji_twemoji", "twemoji-64.webp", split)


def load_both(split: str) -> Images:
    """Google's drawings, then Twitter's, labelled by category."""
    noto, twemoji = load_noto(split), load_twemoji(split)
    both = torch.cat([noto.images, twemoji.images])
    return Images("emoji", both, torch.cat([noto.labels, twemoji.labels]), noto.classes)


def load_named(split: str) -> Images:
    """The pictures of `load_both`, labelled by their place: emoji i is i as Noto, i + 1,906 as Twemoji."""
    first, num = torch.tensor(indices(split)), len(entries())
    classes = tuple(f"{entry['name']}, {style}" for style in STYLES for entry in entries())
    return Images("emoji_named", load_both(split).images, torch.cat([first, first + num]), classes)


def spell_out(text: str) -> str:
    """A text with its emoji characters replaced by their names; those that have none here are left out."""
    plain, names = text.replace("\ufe0f", ""), _names()
    longest = max(map(len, names))
    parts, place = [], 0
    while place < len(plain):
        if plain[place].isascii():  # digits begin keycaps, but are words by themselves
            parts.append(plain[place])
            place += 1
            continue
        length = next((n for n in range(longest, 0, -1) if plain[place : place + n] in names), 0)
        if length:
            parts.append(f" {names[plain[place : place + length]]} ")
        elif unicodedata.category(plain[place])[0] in "LMNZP":
            parts.append(plain[place])
        place += max(length, 1)
    return " ".join("".join(parts).split())


@cache
def _names() -> dict[str, str]:
    """The name of every emoji by its characters, without the sign that asks for colours."""
    found = {}
    for entry in entries():
        characters = "".join(chr(int(code, 16)) for code in entry["unified"].split("-"))
        found[characters.replace("\ufe0f", "")] = entry["name"]
    return found


def _load(name: str, file: str, split: str) -> Images:
    kept = indices(split)
    classes = tuple(dict.fromkeys(entry["category"] for entry in entries()))
    labels = [classes.index(entries()[i]["category"]) for i in kept]
    return Images(name, _sheet(file)[kept], torch.tensor(labels), classes)


def _sheet(file: str) -> torch.Tensor:
    """Cut a sheet into (N, 3, 64, 64) uint8, transparent pixels on white."""
    _checked(file)
    try:
        with Image.open(_FOLDER / file) as sheet:
            rgba = sheet.convert("RGBA")
    except (OSError, UnidentifiedImageError) as error:
        raise DataUnavailable("errors.data_unreadable", path=_FOLDER / file, why=error) from error
    white = Image.new("RGBA", rgba.size, "white")
    rgb = np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    rows = rgb.shape[0] // SIDE
    cells = rgb.reshape(rows, SIDE, _PER_ROW, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return torch.from_numpy(cells.reshape(-1, 3, SIDE, SIDE)[: len(entries())].copy())


def _checked(file: str) -> bytes:
    path = _FOLDER / file
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataUnavailable("errors.data_unreadable", path=path, why=error) from error
    if hashlib.sha256(raw).hexdigest() != _SHA256[file]:
        raise DataUnavailable("errors.data_damaged", path=path)
    return raw
