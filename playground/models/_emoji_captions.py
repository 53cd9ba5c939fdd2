"""Captions for emoji, as people might type them: names, short names, categories and plain paraphrases."""

import random
import re

from playground.data import emoji
from playground.data.emoji import STYLES, Entry

_ARTICLES = re.compile(r"\b(sign|symbol|button|with|and|of|the)\b")


def style_of(place: int) -> str:
    """Whose hand a place of `emoji.load_named` is in: one of `STYLES`."""
    return STYLES[place // len(emoji.entries())]


def entry_of(place: int) -> Entry:
    """What is known of the emoji at a place of `emoji.load_named`."""
    return emoji.entries()[place % len(emoji.entries())]


def plain(place: int) -> str:
    """The caption without any variation, such as ``grinning face, Noto``."""
    return f"{entry_of(place)['name']}, {style_of(place)}"


def wordings(entry: Entry) -> list[str]:
    """Different ways to say what an emoji shows, its name first."""
    name, short = entry["name"], entry["short_name"].replace("_", " ").replace("-", " ")
    kind = entry["subcategory"].replace("-", " ")
    found = [name, short, f"{name}, {kind}", f"{name} ({entry['category']})", f"{short} {kind}"]
    found.append(" ".join(_ARTICLES.sub(" ", name).split()) or name)
    if name.endswith(" flag"):
        found += [f"flag of {name.removesuffix(' flag')}", name.removesuffix(" flag")]
    if name.endswith(" face"):
        found.append(name.removesuffix(" face"))
    return found


def vary(place: int, rng: random.Random, colour: str = "") -> str:
    """One caption of many; the style is named in five of six, and the kind alone in one of twenty.

    Args:
        place: of the emoji, in `emoji.load_named`.
        rng: decides.
        colour: a word that goes before the thing, for a picture that was made to have that colour.
    """
    entry = entry_of(place)
    options = wordings(entry)
    thing = options[0] if rng.random() < 0.4 else rng.choice(options)
    if rng.random() < 0.05:
        thing = rng.choice([entry["category"], entry["subcategory"].replace("-", " ")])
    if colour:
        thing = f"{colour} {thing}"
    if rng.random() < 0.2:
        thing = rng.choice(["a {}", "an emoji of {}", "{} emoji", "a picture of {}", "{} icon"]).format(thing)
    style = style_of(place)
    if rng.random() < 1 / 6:
        return thing
    return rng.choice(["{0}, {1}", "{0}, {1}", "{1} {0}", "{0} in the style of {1}", "{0} by {1}"]).format(
        thing, style
    )
