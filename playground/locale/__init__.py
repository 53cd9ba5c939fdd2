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


def words(key: str, **params: Any) -> Words:
    """A phrase in every language."""
    return Words(*(text(key, language, **params) for language in LANGUAGES))


def both(key: str, **params: Any) -> str:
    """A phrase as HTML in every language; the page shows the one its reader chose, so nothing is drawn again.

    Parameters are escaped; the phrase itself may hold markup.
    """
    safe = {k: html.escape(v) if isinstance(v, str) else v for k, v in params.items()}
    return spans(words(key, **safe))


def spans(phrase: Words, tag: str = "span") -> str:
    """`Words` that are HTML already, one element a language. In SVG the tag is ``tspan``."""
    return "".join(f'<{tag} lang="{code}">{getattr(phrase, code)}</{tag}>' for code in LANGUAGES)
