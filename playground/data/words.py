"""Word vectors: what a word is near to, so that words that no emoji's name holds still say something.

30,410 English words with 50 numbers each, from GloVe 6B (Pennington, Socher & Manning 2014, "GloVe: Global
Vectors for Word Representation"), which is in the public domain (PDDL 1.0): the 30,000 most frequent that are
made of letters, and those of the emoji's names. The mean and the two strongest directions, which hold little
but how frequent a word is, were taken out (1702.01417), the vectors were brought to length 1, times 160, and
rounded to int8.
"""

import hashlib
import re
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from playground.data.images import DataUnavailable

NUM_DIMS = 50
_FILE = Path(__file__).parent / "files" / "words" / "glove-50d.npz"
_SHA256 = "993c9c383744a7de668265e7126dc91f5d5a22c723def042353821d2668c8bd8"


def split(text: str) -> list[str]:
    """A text's words, in lower case and without accents; numbers are words, punctuation is none."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return re.findall(r"[a-z]+|[0-9]+", plain)


def vector(word: str) -> Tensor | None:
    """(50,) of length about 1; None for a word that is not among them.

    Raises:
        DataUnavailable: if the file is missing or damaged.
    """
    places, vectors = _table()
    place = places.get(word)
    return None if place is None else torch.from_numpy(vectors[place].astype(np.float32) / 160)


@cache
def _table() -> tuple[dict[str, int], np.ndarray]:
    try:
        raw = _FILE.read_bytes()
    except OSError as error:
        raise DataUnavailable("errors.data_unreadable", path=_FILE, why=error) from error
    if hashlib.sha256(raw).hexdigest() != _SHA256:
        raise DataUnavailable("errors.data_damaged", path=_FILE)
    with np.load(_FILE) as content:
        words = content["words"].tobytes().decode().split("\n")
        return {word: place for place, word in enumerate(words)}, content["vectors"]
