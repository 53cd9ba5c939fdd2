"""Words: a few words become an emoji, every step to be seen; the sections are ``words_*.py``."""

from playground.tabs import frame

ORDER = 45
TITLE = "words.title"


def build() -> None:
    """Lay the tab out."""
    frame.build("words", "words.intro")
