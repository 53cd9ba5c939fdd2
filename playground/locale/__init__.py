"""The interface's words: one JSON file per tab or area and language, such as ``locale/en/train.json``.

Every file maps flat dotted keys, which start with the file's name, to sentences with ``{placeholders}``.
A test holds that the languages have the same keys and the same placeholders.
"""

import html
import json
from functools import cache
from pathlib import Path
from typing import Any

from playground.spec import Words

LANGUAGES = ("en", "zh")


@cache
def table(language: str) -> dict[str, str]:
    """Every phrase of a language by its key."""
    found: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / language).glob("*.json")):
        found |= json.loads(path.read_text(encoding="utf-8"))
    return found


def text(key: str, language: str = "en", **params: Any) -> str:
    """A phrase as plain text; `Words` among the parameters are said in the same language.

    Raises:
        KeyError: if there is no such phrase.
    """
    phrase = table(language if language in LANGUAGES else "en")[key]
    said = {k: getattr(v, language, v.en) if isinstance(v, Words) else v for k, v in params.items()}
    return phrase.format(**said)


class Told(Exception):
    """An error that says itself in any language of the interface; ``str()`` is the sentence in English.

    Attributes:
        key: of the phrase.
        params: what fills it.
    """

    def __init__(self, key: str, **params: Any) -> None:
        """A phrase by its key, and what fills it."""
        super().__init__(key, params)
        self.key, self.params = key, params

    def sentence(self, language: str = "en") -> str:
        """The phrase in a language."""
        return text(self.key, language, **self.params)

    def __str__(self) -> str:
        """The phrase in English."""
        return self.sentence()


def words(key: str, **params: Any) -> Words:
    """A phrase in every language."""
    return Words(*(text(key, language, **params) for language in LANGUAGES))


def both(key: str, **params: Any) -> str:
    """A phrase as HTML in every language; the page shows the one its reader chose, so nothing is drawn again.

    Parameters are escaped, paths and errors too; the phrase itself, and `Words`, may hold markup.
    """
    plain = (int, float, Words)
    safe = {k: v if isinstance(v, plain) else html.escape(str(v)) for k, v in params.items()}
    return spans(words(key, **safe))


def spans(phrase: Words, tag: str = "span") -> str:
    """`Words` that are HTML already, one element a language. In SVG the tag is ``tspan``."""
    return "".join(f'<{tag} lang="{code}">{getattr(phrase, code)}</{tag}>' for code in LANGUAGES)
