"""A small text encoder: a few words to a vector each, and one for the whole.

Every word is the sum of three things: its place in the sentence, what the playground's word vectors know of
it (`data.words`, fixed), and what is learnt here of its letters: the mean of the embeddings of its character
n-grams, hashed into a table as in fastText (1607.04606), the whole word being one of them. In training the
letters are sometimes hidden, so that the model learns to make do with the word vectors: that is what it has
of words that no emoji's name holds. Two transformer layers (1706.03762) then let the words see each other; a
start token, which is there even for an empty text, gathers the whole.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import torch
from torch import Tensor, nn

from playground.data import words as word_vectors
from playground.nn import rand


@dataclass(frozen=True)
class TextConfig:
    """Shape of the encoder.

    Attributes:
        width: of a word's vector.
        num_layers: transformer layers.
        num_heads: of each.
        max_words: those after are not read.
        num_buckets: rows of the table of n-grams.
        hidden: share of the words whose letters are hidden in training.
    """

    width: int = 128
    num_layers: int = 2
    num_heads: int = 4
    max_words: int = 16
    num_buckets: int = 2048
    hidden: float = 0.3


class Text(NamedTuple):
    """Encoded texts.

    Attributes:
        states: (B, L, width), the start token's first, then a vector for each word.
        mask: (B, L) bool, true where there is a token.
    """

    states: Tensor
    mask: Tensor


@lru_cache(maxsize=20_000)
def grams(word: str, num_buckets: int) -> tuple[int, ...]:
    """The rows of a word's n-grams of 3 to 5 letters, the word itself first; "<" and ">" mark its ends."""
    marked = f"<{word}>"
    parts = [marked[i : i + n] for n in (3, 4, 5) for i in range(len(marked) - n + 1)]
    return tuple(crc32(part.encode()) % num_buckets for part in [marked, *parts])


class TextEncoder(nn.Module):
    """Words to vectors."""

    def __init__(self, config: TextConfig) -> None:
        """Build it."""
        super().__init__()
        self.config, width = config, config.width
        self.letters = nn.EmbeddingBag(config.num_buckets, width, mode="mean")
        self.meaning = nn.Linear(word_vectors.NUM_DIMS, width)
        self.places = nn.Parameter(0.02 * torch.randn(config.max_words + 1, width))
        nn.init.normal_(self.letters.weight, std=0.3)
        layer = nn.TransformerEncoderLayer(
            width, config.num_heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(layer, config.num_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def words(self, text: str) -> list[str]:
        """The words that are read."""
        return word_vectors.split(text)[: self.config.max_words]

    def forward(self, texts: list[str], generator: torch.Generator | None = None) -> Text:
        """Encode texts; a generator, in training, hides the letters of some words."""
        lists = [self.words(text) for text in texts]
        length = 1 + max(map(len, lists))
        device = self.places.device
        mask = torch.arange(length) <= torch.tensor([[len(words)] for words in lists])
        tokens = torch.zeros(len(texts), length, self.config.width, device=device)
        if flat := [word for words in lists for word in words]:
            inside = mask.clone()
            inside[:, 0] = False
            tokens = tokens.masked_scatter(inside[:, :, None].to(device), self._embed(flat, generator))
        tokens, mask = tokens + self.places[:length], mask.to(device)
        return Text(self.norm(self.layers(tokens, src_key_padding_mask=~mask)), mask)

    def _embed(self, words: list[str], generator: torch.Generator | None) -> Tensor:
        """(N, width) of N words, as they are before they see each other."""
        device = self.places.device
        rows = [grams(word, self.config.num_buckets) for word in words]
        starts = torch.tensor([0, *map(len, rows[:-1])]).cumsum(0)
        letters = self.letters(
            torch.tensor([r for row in rows for r in row], device=device), starts.to(device)
        )
        known = [word_vectors.vector(word) for word in words]
        nothing = torch.zeros(word_vectors.NUM_DIMS)
        meaning = torch.stack([nothing if v is None else v for v in known]).to(device)
        if generator is not None:
            hidden = rand((len(words),), generator, device) < self.config.hidden
            hidden &= torch.tensor([v is not None for v in known], device=device)
            letters = letters * ~hidden[:, None]
        return letters + self.meaning(meaning)
