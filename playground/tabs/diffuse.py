"""Diffuse: noise comes step by step, and goes again; the sections are ``diffuse_*.py``."""

from playground.tabs import frame

ORDER = 40
TITLE = "diffuse.title"


def build() -> None:
    """Lay the tab out."""
    frame.build("diffuse", "diffuse.intro")
